"""List the local runs, or show the steps of one."""

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError
from mlops.project.target import Target
from mlops.run import progress
from mlops.run.state import RunState, find_run, runs

NEEDS = ("trains",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `runs`."""
    parser.add_argument("run", nargs="?", help="run to show (default: list all)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Print the list or one run."""
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


def _line(state: RunState) -> str:
    reason = state.parameters.get("RunReason", "")
    return f"{state.id}  {state.started[:19]}Z  {state.status:<11}  {state.environment:<8}  {reason}".rstrip()


def _one(state: RunState, report: str) -> str:
    lines = [_line(state), ""]
    for name, step in state.steps.items():
        lines.append(f"  {name:<18} {step.status:<10} {step.seconds:6.1f} s  {progress.details(step)}".rstrip())
    lines += ["", *(f"  {name} = {value}" for name, value in state.parameters.items()), "", f"  report: {report}"]
    return "\n".join(lines)
