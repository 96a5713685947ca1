"""What runs where: the files of each thing that leaves the project for another machine.

Compiler, bundle and functions are made of these; the archive that training writes, the image and its pipeline's trigger
are checked against them by the template's tests, which also follow the imports of each.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops.base.files import files_below

JOBS = {"model": "src/model", "modelkit": "modelkit"}
"""The packages that jobs run, and that each archive has a copy of: by their names, where they are in the project."""

BASELINE = (
    "modelkit/__init__.py",
    "modelkit/baseline.py",
    "modelkit/job.py",
    "modelkit/jobs/__init__.py",
    "modelkit/jobs/baseline.py",
    "modelkit/statistics.py",
)
"""What describes the training data: a change of anything else is no other baseline."""

HANDLERS = ("modelkit/inference.py", "modelkit/hosting.py")
"""What servers call: an archive has them once more, beside its packages."""

FUNCTIONS = (
    "mlops/__init__.py",
    "mlops/base/__init__.py",
    "mlops/base/commands.py",
    "mlops/base/environments.py",
    "mlops/base/errors.py",
    "mlops/functions/__init__.py",
    "mlops/functions/api.py",
    "mlops/functions/promote.py",
    "mlops/functions/validate_data.py",
    "mlops/registry/__init__.py",
    "mlops/registry/packages.py",
    "mlops/registry/promotion.py",
    "mlops/registry/versions.py",
)
"""The archive of the Lambda functions."""

IMAGE = (
    "mlops/__init__.py",
    "mlops/base/__init__.py",
    "mlops/base/capture.py",
    "mlops/base/errors.py",
    "mlops/base/files.py",
    "mlops/base/handlers.py",
    "mlops/serving/*.py",
)
"""The server, in an image of the project's own."""


def job_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The files of `JOBS`, by their names on the machine that runs them."""
    for package, folder in JOBS.items():
        for name, path in files_below(root / folder):
            yield f"{package}/{name}", path


def listed(root: Path, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """The files of one of the lists above, by their names."""
    for name in names:
        yield name, root / name
