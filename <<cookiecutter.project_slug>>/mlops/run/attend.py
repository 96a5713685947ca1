"""Execute a run with its progress on standard error, and summarize its result."""

import shlex
import sys
from pathlib import Path
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.run import progress
from mlops.run.report import write_report
from mlops.run.start import execute
from mlops.run.state import FAILED, SUCCEEDED, RunFolder, RunState

_LOG_LINES = 12
_LOG_BYTES = 64 * 1024


def attend(target: Target, folder: RunFolder, *, use_cache: bool) -> RunState:
    """Execute a prepared or unfinished run to its end, show its steps on standard error, and write its report.

    Raises:
        MlopsError: The state cannot be read or written, or another process executes this run.
        KeyboardInterrupt: The run was interrupted; the command that resumes it has been printed.
    """
    try:
        with progress.listener() as listener:
            state = execute(target, folder, use_cache=use_cache, listener=listener)
    except KeyboardInterrupt:
        print(f"\nStopped. Continue with `{MLOPS} run --resume {folder.path.name}`.", file=sys.stderr)
        raise
    write_report(target, folder, state)
    return state


def result(folder: RunFolder, state: RunState) -> dict[str, Any]:
    """Return the result of a run as a JSON document."""
    return {
        "run": state.id,
        "status": state.status,
        "failure": state.failure,
        "parameters": state.resolved,
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


def summary(project: Project, folder: RunFolder, state: RunState) -> str:
    """Return the result of a run and the next step, as text."""
    lines = [""]
    if state.status == SUCCEEDED:
        package = state.registered
        version = package.get("ModelPackageVersion")
        lines.append(f"Run {state.id} succeeded.")
        if version:
            lines.append(f"Version {version} of {package['ModelPackageGroupName']} is registered.")
            if note := package.get("CustomerMetadataProperties", {}).get("Note"):
                lines.append(f"  {note}")
            if state.environment != LOCAL:
                lines.append(
                    f"  on this machine only: a trial of the {state.environment} pipeline; its account is unchanged"
                )
            elif package.get("ModelApprovalStatus") != "Approved":
                lines.append(f"  approve it:  {MLOPS} approve {version}")
    else:
        lines.append(f"Run {state.id} failed.")
        for name, step in state.steps.items():
            if step.status == FAILED:
                lines += _failure(folder, name, step.failure, step.folder)
        if any(step.failure.startswith("SageMaker.") for step in state.steps.values() if step.status == FAILED):
            lines.append(f"Resume with the same code and data: {MLOPS} run --resume {state.id}")
        else:
            lines.append("Fix the cause, then run again: steps with the same code, data and parameters are reused.")
    lines.append(f"  report:      {_relative(folder.report, project.root)}")
    return "\n".join(lines)


def _failure(folder: RunFolder, name: str, failure: str, job: str) -> list[str]:
    lines = ["", f"{name} failed: {failure}"]
    log = folder.path / job / "job.log"
    if job and log.is_file():
        unsaid = [line for line in _last_lines(log) if line.removeprefix("error: ") not in failure]
        lines += [*(f"  | {line}" for line in unsaid), f"  full log:    {log}"]
        lines += [f"  to repeat only this step on the same inputs: sh {shlex.quote(str(log.parent / 'command.sh'))}"]
    return [*lines, ""]


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return stream.read().decode(errors="replace").splitlines()[-_LOG_LINES:]


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path
