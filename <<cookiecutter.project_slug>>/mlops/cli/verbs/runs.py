"""List the runs on this machine or in AWS, or show the steps of one."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError
from mlops.cli.console import table
from mlops.project.target import Target
from mlops.run import progress
from mlops.run.state import RunState, find_run, runs

if TYPE_CHECKING:
    from mlops.retraining.executions import Execution

NEEDS = ("trains",)

_LISTED = 20
_COLUMNS = ("run", "started", "status", "version", "auc", "data", "reason")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `runs`."""
    parser.add_argument("run", nargs="?", help="run to show (default: list them)")
    parser.add_argument("--environment", default=LOCAL, help="where the runs are (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Print the list or one run."""
    if not target.is_local:
        return _in_aws(target, options)
    if options.run:
        folder = find_run(target.project, options.run)
        state = folder.load()
        print(json.dumps(asdict(state), indent=2) if options.json else _one(state, str(folder.report)))
        return 0
    states: list[RunState] = []
    damaged: list[str] = []
    for folder in runs(target.project):
        try:
            states.append(folder.load())
        except MlopsError as error:
            damaged.append(str(error))
    if options.json:
        fields = ("id", "status", "started", "ended", "environment", "definition_sha256", "failure")
        print(json.dumps([{field: getattr(state, field) for field in fields} for state in states], indent=2))
    elif states:
        print("\n".join(_line(state) for state in states))
    elif not damaged:
        print(f"No runs yet. Start one: {MLOPS} run")
    for message in damaged:
        print(message, file=sys.stderr)
    return 1 if damaged else 0


def _in_aws(target: Target, options: Namespace) -> int:
    from mlops.retraining.runs import AwsRuns  # boto3 costs 0.2 s, which local verbs do not pay

    runs_there = AwsRuns.of(target)
    if options.run:
        one = runs_there.find(options.run)
        print(json.dumps(one, indent=2) if options.json else _execution(one))
        return 0
    found = runs_there.newest(_LISTED)
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        figures = runs_there.figures(found)
        rows = [_COLUMNS, *(_row(each, figures.get(each["model_package"], {})) for each in found)]
        print(table(rows))
    else:
        print(f"No runs yet. Start one: {MLOPS} upsert --environment {target.environment} --start")
    return 0


def _row(execution: "Execution", figures: Mapping[str, float]) -> tuple[str, ...]:
    from mlops.retraining.executions import resolved  # as above

    parameters, version = resolved(execution), execution["model_package"].rpartition("/")[2]
    auc = f"{figures['auc']:.4f}" if "auc" in figures else ""
    name, reason = execution["execution"].rpartition("/")[2], parameters.get("RunReason", "")
    return (
        name,
        execution["started"][:16],
        execution["status"],
        version,
        auc,
        parameters.get("DataVersion", ""),
        reason,
    )


def _execution(one: "Execution") -> str:
    from mlops.retraining.executions import resolved  # as above

    lines = [f"{one['execution']}  {one['status']}", f"from {one['started']} to {one['ended'] or 'now'}", ""]
    for step in one["steps"]:
        lines.append(f"  {step['name']:<18} {step['status']:<10} {step['failure'] or step['resource']}".rstrip())
    lines += ["", *(f"  {name} = {value}" for name, value in resolved(one).items())]
    return "\n".join([*lines, *(["", one["failure"]] if one["failure"] else [])])


def _line(state: RunState) -> str:
    reason = state.parameters.get("RunReason", "")
    return f"{state.id}  {state.started[:19]}Z  {state.status:<11}  {state.environment:<8}  {reason}".rstrip()


def _one(state: RunState, report: str) -> str:
    lines = [_line(state), ""]
    for name, step in state.steps.items():
        lines.append(f"  {name:<18} {step.status:<10} {step.seconds:6.1f} s  {progress.details(step)}".rstrip())
    lines += ["", *(f"  {name} = {value}" for name, value in state.resolved.items()), "", f"  report: {report}"]
    return "\n".join(lines)
