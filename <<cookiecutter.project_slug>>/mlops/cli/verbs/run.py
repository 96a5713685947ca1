"""Run the training pipeline on this machine: no AWS account, Docker or network.

Interprets the definition compiled for the environment, the same one (by SHA-256) that `upsert` submits to SageMaker.
Jobs run in the project's own runtime environment instead of the container image.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlops.base.environments import LOCAL
from mlops.base.errors import UsageError
from mlops.pipeline import bundle
from mlops.pipeline.definition import assignments
from mlops.project.target import Target
from mlops.run.attend import attend, result, summary
from mlops.run.start import new_run
from mlops.run.state import SUCCEEDED, RunFolder, find_run, last_unfinished

NEEDS = ("trains",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.add_argument("--environment", default=LOCAL, help="environment of the definition (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="file or folder to train on (default: `data_folder` in config)")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="set a pipeline parameter"
    )
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="RUN", help="continue an unfinished run (default: the newest)"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every step, also those with cached results")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Start or resume a run, show its steps and write its report; return 0 if it succeeded."""
    if options.resume is None:
        folder = _start(target, options)
    else:
        if options.parameter or options.data:
            raise UsageError(
                "A resumed run keeps its parameters and its data.", "Leave out -p and --data, or --resume."
            )
        folder = find_run(target.project, options.resume) if options.resume else last_unfinished(target.project)
        state = folder.load()
        target = target.at(state.environment)
        print(f"Resuming run {state.id} of {state.started[:19]}Z.", file=sys.stderr)
    state = attend(target, folder, use_cache=not options.no_cache)
    if options.json:
        print(json.dumps(result(folder, state), indent=2))
    else:
        print(summary(target.project, folder, state))
    return 0 if state.status == SUCCEEDED else 1


def _start(target: Target, options: Namespace) -> RunFolder:
    overrides = assignments(options.parameter)
    compiled = bundle.current(target)
    return new_run(target, compiled, options.data, overrides)
