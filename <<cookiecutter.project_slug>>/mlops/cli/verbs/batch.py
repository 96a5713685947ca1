"""Predict every row of a file or folder with the approved model.

Accepts CSV (with a header), gzipped CSV and Parquet; columns that are not features are ignored. Outputs appear
only once all of them are complete.
"""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.base import capture
from mlops.base.environments import LOCAL
from mlops.base.errors import UsageError
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.archives import load
from mlops.registry.versions import ModelVersion, version_to_use
from mlops.store.local import LocalStore

if TYPE_CHECKING:
    from mlops.batch.recording import Recorder

NEEDS = ("batches",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `batch`."""
    parser.add_argument("input", type=Path, help="file or folder with the rows")
    parser.add_argument("--output", type=Path, required=True, help="folder for the predictions")
    parser.add_argument("--join", action="store_true", help="include the input's columns in the output")
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    parser.add_argument("--version", type=int, help="version to predict with (default: the approved one)")
    parser.add_argument("--environment", default=LOCAL, help="environment of the registry (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Write the predictions and print a summary."""
    # Imported here, so that no other verb waits for Arrow.
    from mlops.batch.job import Job
    from mlops.batch.reading import find_files
    from mlops.batch.scoring import Scorer
    from mlops.batch.writing import check_join
    from modelkit.messages import listed

    files = find_files(options.input)
    source = registry_of(target)
    version = version_to_use(source.versions(), options.version)
    scorer = Scorer.of(load(source, version, target.project.state / "models"))
    job = Job(scorer, options.output, options.join, _recorder(target, version))
    _check_outputs(options, [job.path(file) for file in files])
    unknown = {name for file in files for name in scorer.check(file)}
    for file in files if options.join else ():
        check_join(file)
    if unknown:
        print(f"Ignored columns that are not in the schema: {listed(sorted(unknown))}.", file=sys.stderr)
    started = time.perf_counter()
    rows = job.run(files)
    seconds = time.perf_counter() - started
    result = {
        "version": version.version,
        "rows": sum(rows),
        "seconds": round(seconds, 3),
        "rows_per_second": round(sum(rows) / seconds),
        "files": [
            {"input": str(file.path), "output": str(job.path(file)), "rows": count}
            for file, count in zip(files, rows, strict=True)
        ],
        "captured": job.recorder is not None,
    }
    print(json.dumps(result, indent=2) if options.json else _text(result))
    return 0


def _recorder(target: Target, version: ModelVersion) -> "Recorder | None":
    """Return the recorder that captures requests for monitoring; None when nothing is captured."""
    from mlops.batch.recording import Recorder

    percentage = target.capture_percentage
    if not percentage:
        return None
    bucket, slug = target.settings["bucket"], target.project.slug
    prefix = capture.prefix(bucket, slug, version.version, f"{slug}-{target.environment}-batch")
    return Recorder(LocalStore.of(target).path(prefix), percentage)


def _check_outputs(options: Namespace, outputs: list[Path]) -> None:
    if options.input.is_dir() and options.output.resolve().is_relative_to(options.input.resolve()):
        raise UsageError(
            f"{options.output} is inside the input: the next run would read its own output.", "Name a folder outside."
        )
    present = next((path for path in outputs if path.exists()), None)
    if present and not options.overwrite:
        raise UsageError(f"{present} already exists.", "Name another folder, or add --overwrite.")


def _text(result: dict[str, Any]) -> str:
    files, speed = result["files"], f"{result['seconds']:.1f} s ({result['rows_per_second']} rows/s)"
    lines = [f"{result['rows']} rows predicted by version {result['version']} in {speed}."]
    return "\n".join([*lines, *(f"  {file['output']}" for file in files)])
