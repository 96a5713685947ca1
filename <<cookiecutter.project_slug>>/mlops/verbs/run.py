"""Run the training pipeline on this machine: no AWS account, Docker or network.

It interprets the definition that was compiled for the environment, the same one (by SHA-256) that `upsert` puts into
SageMaker. Jobs use the project's own runtime environment instead of the container image.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mlops import bundle
from mlops.definition import assignments
from mlops.errors import MlopsError
from mlops.local import display
from mlops.local.platform import LocalPlatform
from mlops.local.start import execute, new_run
from mlops.local.state import FAILED, SUCCEEDED, RunFolder, RunState
from mlops.project import LOCAL, Project
from mlops.report import write_report

_LOG_LINES = 12
_LOG_BYTES = 64 * 1024


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `run`."""
    parser.add_argument("--environment", default=LOCAL, help="whose definition to run (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="file or folder to train on (default: `data` in the configuration)")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="set a pipeline parameter"
    )
    parser.add_argument(
        "--resume", nargs="?", const="", metavar="RUN", help="continue an unfinished run (default: the newest)"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every step, whatever earlier runs left")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(project: Project, options: Namespace) -> int:
    """Run or resume, show the steps, write the report; 0 when the run succeeded."""
    platform = LocalPlatform(project, options.environment)
    if options.resume is None:
        folder = _start(platform, options)
    else:
        if options.parameter or options.data:
            raise MlopsError(
                "A resumed run keeps its parameters and its data.", "Leave out -p and --data, or --resume.", exit_code=2
            )
        folder = platform.find_run(options.resume) if options.resume else platform.last_unfinished()
        state = folder.load()
        platform = LocalPlatform(project, state.environment)
        print(f"Run {state.id} of {state.started[:19]}Z goes on.", file=sys.stderr)
    try:
        with display.listener() as listener:
            state = execute(platform, folder, use_cache=not options.no_cache, listener=listener)
    except KeyboardInterrupt:
        print(f"\nStopped. Continue with `.venv/bin/python -m mlops run --resume {folder.path.name}`.", file=sys.stderr)
        raise
    write_report(platform, folder, state)
    if options.json:
        print(json.dumps(_result(folder, state), indent=2))
    else:
        print(_summary(project, folder, state))
    return 0 if state.status == SUCCEEDED else 1


def _start(platform: LocalPlatform, options: Namespace) -> RunFolder:
    environment = platform.project.environment(options.environment)
    overrides = assignments(options.parameter)
    compiled = bundle.current(platform.project, options.environment)
    return new_run(platform, environment, compiled, options.data, overrides)


def _result(folder: RunFolder, state: RunState) -> dict[str, Any]:
    return {
        "run": state.id,
        "status": state.status,
        "failure": state.failure,
        "parameters": state.parameters,
        "steps": {
            name: {
                "status": step.status,
                "seconds": round(step.seconds, 3),
                "cached": step.cached,
                "failure": step.failure,
                "figures": step.figures,
            }
            for name, step in state.steps.items()
        },
        "model_package_arn": state.registered.get("ModelPackageArn"),
        "definition_sha256": state.definition_sha256,
        "report": str(folder.report),
        "manifest": str(folder.manifest),
    }


def _summary(project: Project, folder: RunFolder, state: RunState) -> str:
    lines = [""]
    if state.status == SUCCEEDED:
        package = state.registered
        version = package.get("ModelPackageVersion")
        lines.append(f"Run {state.id} succeeded.")
        if version:
            lines.append(f"Version {version} of {package['ModelPackageGroupName']} is registered.")
            if state.environment != LOCAL:
                lines.append(f"  here only: a trial of the pipeline of {state.environment}, nothing is in its account")
            elif package.get("ModelApprovalStatus") != "Approved":
                lines.append(f"  approve it:  .venv/bin/python -m mlops approve {version}")
    else:
        lines.append(f"Run {state.id} failed.")
        for name, step in state.steps.items():
            if step.status == FAILED:
                lines += _failure(folder, name, step.failure, step.folder)
        if any(step.failure.startswith("SageMaker.") for step in state.steps.values() if step.status == FAILED):
            lines.append(f"Go on with the same code and data: .venv/bin/python -m mlops run --resume {state.id}")
        else:
            lines.append("Mend the cause, then run again: steps whose code, data and parameters are the same are kept.")
    lines.append(f"  report:      {_relative(folder.report, project.root)}")
    return "\n".join(lines)


def _failure(folder: RunFolder, name: str, failure: str, job: str) -> list[str]:
    lines = ["", f"{name} failed: {failure}"]
    log = folder.path / job / "job.log"
    if job and log.is_file():
        lines += [*(f"  | {line}" for line in _last_lines(log)), f"  whole log:   {log}"]
        lines += [f"  only this step again, on the same inputs: sh {log.parent / 'command.sh'}"]
    return [*lines, ""]


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return stream.read().decode(errors="replace").splitlines()[-_LOG_LINES:]


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
