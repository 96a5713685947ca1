"""What runs where: the files of each artifact that leaves the project for another machine.

The compiler, the bundle and the functions are built from these lists. The template's tests check model archives, the
image and the trigger of its pipeline against them, and follow the imports of each.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops.base import sources

JOBS = {"model": "src/model", "modelkit": "modelkit"}
"""The packages of the jobs' code by name, with their folders; each model archive contains a copy."""

BASELINE = (
    "modelkit/__init__.py",
    "modelkit/baseline.py",
    "modelkit/job.py",
    "modelkit/jobs/__init__.py",
    "modelkit/jobs/baseline.py",
    "modelkit/limits.py",
    "modelkit/messages.py",
    "modelkit/parquet_files.py",
    "modelkit/parquet_pages.py",
    "modelkit/statistics.py",
    "modelkit/summaries.py",
    "modelkit/terminal.py",
)
"""The code that describes the training data; other changes leave the baseline as it is."""

HANDLERS = ("modelkit/inference.py", "modelkit/hosting.py")
"""The modules that servers call; an archive contains them a second time, beside its packages."""

FUNCTIONS = (
    "mlops/__init__.py",
    "mlops/base/__init__.py",
    "mlops/base/capture.py",
    "mlops/base/clocks.py",
    "mlops/base/commands.py",
    "mlops/base/documents.py",
    "mlops/base/environments.py",
    "mlops/base/errors.py",
    "mlops/base/files.py",
    "mlops/base/payloads.py",
    "mlops/functions/__init__.py",
    "mlops/functions/api.py",
    "mlops/functions/clients.py",
    "mlops/functions/inputs.py",
    "mlops/functions/monitor.py",
    "mlops/functions/promote.py",
    "mlops/functions/retrain.py",
    "mlops/functions/sweep.py",
    "mlops/functions/validate_data.py",
    "mlops/monitoring/__init__.py",
    "mlops/monitoring/answers.py",
    "mlops/monitoring/batches.py",
    "mlops/monitoring/collect.py",
    "mlops/monitoring/intervals.py",
    "mlops/monitoring/objects.py",
    "mlops/monitoring/pairs.py",
    "mlops/monitoring/place.py",
    "mlops/monitoring/publish.py",
    "mlops/registry/__init__.py",
    "mlops/registry/inputs.py",
    "mlops/registry/named.py",
    "mlops/registry/packages.py",
    "mlops/registry/promotion.py",
    "mlops/registry/sweep.py",
    "mlops/registry/versions.py",
    "mlops/retraining/__init__.py",
    "mlops/retraining/executions.py",
    "mlops/retraining/memory.py",
    "mlops/retraining/policy.py",
    "mlops/retraining/table.py",
    "mlops/store/__init__.py",
    "mlops/store/expiry.py",
    "mlops/store/history.py",
    "mlops/store/objects.py",
    "modelkit/__init__.py",
    "modelkit/archives.py",
    "modelkit/contents.py",
    "modelkit/job.py",
    "modelkit/limits.py",
    "modelkit/messages.py",
    "modelkit/terminal.py",
)
"""The files of the Lambda functions."""

IMAGE = (
    "mlops/__init__.py",
    "mlops/base/__init__.py",
    "mlops/base/capture.py",
    "mlops/base/documents.py",
    "mlops/base/errors.py",
    "mlops/base/files.py",
    "mlops/base/handlers.py",
    "mlops/base/payloads.py",
    "mlops/base/processes.py",
    "mlops/base/sealed.py",
    "mlops/base/twin_file.py",
    "mlops/base/terminal.py",
    "mlops/serving/*.py",
)
"""The files of the server in the project's own image."""


def job_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of `JOBS`, with their names on the machine that runs them; those that git ignores stay here."""
    found = sources.find(root, tuple(JOBS.values())).files
    for package, folder in JOBS.items():
        for name, path in found:
            if name.startswith(f"{folder}/"):
                yield f"{package}{name.removeprefix(folder)}", path


def listed(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the files of one of the lists above, with their names."""
    for name in names:
        yield name, root / name
