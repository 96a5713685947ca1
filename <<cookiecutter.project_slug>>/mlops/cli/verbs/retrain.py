"""Train again because something asks for it, within the limits of the configuration, and record why.

What asks is a person (this verb) or the monitoring job. Whoever asks, a trigger is started, added to what waits, or
refused with a reason: see docs/retraining.md.
"""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.retraining.local import Guard, Outcome, retrain
from mlops.retraining.memory import MANUAL, REFUSED
from mlops.run.state import new_run_id

NEEDS = ("trains",)

_DECISIONS = 10


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `retrain`."""
    parser.add_argument("--reason", default="", help="why; kept with the version")
    parser.add_argument("--data", type=Path, help="file or folder to train on (default: `data_folder` in config)")
    parser.add_argument("--force", action="store_true", help="train even if there is no new data")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--pending", action="store_true", help="ask for nothing; start what waits, if it may start")
    instead.add_argument("--status", action="store_true", help="only show what runs, what waits and what was decided")
    parser.add_argument("--environment", default=LOCAL, help="where (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Ask for a retraining, start what waits, or show how things stand; 0 unless a run failed or was refused."""
    if not target.is_local:
        raise UsageError(
            f"Retraining in {options.environment} has no trigger yet.",
            f"Start its pipeline: {MLOPS} upsert --environment {options.environment} --start",
        )
    if (options.pending or options.status) and (options.reason or options.data or options.force):
        raise UsageError("--reason, --data and --force are of a new retraining.", "Leave them out.")
    if options.status:
        standing = Guard.of(target).standing()
        print(json.dumps(standing, indent=2) if options.json else _text(standing))
        return 0
    if options.pending:
        return _show(target.project, Guard.of(target).serve(None), as_json=options.json)
    outcome = retrain(target, MANUAL, f"{MANUAL}-{new_run_id()}", options.reason, options.data, force=options.force)
    refusal = outcome.decision if outcome.decision and outcome.decision.outcome == REFUSED else None
    if refusal and not options.json:
        remedy = f"Bring new data, or train on the same again: {MLOPS} retrain --force"
        raise MlopsError(f"No retraining: {refusal.reason}.", remedy)
    return _show(target.project, outcome, as_json=options.json) or int(refusal is not None)


def _show(project: Project, outcome: Outcome, *, as_json: bool) -> int:
    text = outcome.text(project) or f"Nothing was started: {MLOPS} retrain --status says why."
    print(json.dumps(outcome.document(), indent=2) if as_json else text)
    return outcome.exit_code


def _text(standing: dict[str, Any]) -> str:
    running, pending, newest = standing["running"], standing["pending"], standing["newest"]
    made_from = f"version {newest['version']}, data {newest['data_version']}" if newest else "no version yet"
    circuit = "open: waits for other data or a person" if standing["circuit_is_open"] else "closed"
    lines = [
        f"running   {_running(running) if running else 'nothing'}",
        f"pending   {_pending(pending) if pending else 'nothing'}",
        f"circuit   {circuit} ({standing['failed_gates']} of {standing['failed_gates_allowed']} gates failed in a row)",
        f"budget    {standing['runs_left']} of {standing['runs_per_day']} runs left in 24 hours",
        f"newest    {made_from}",
    ]
    decisions = standing["decisions"][: -_DECISIONS - 1 : -1]
    return "\n".join([*lines, *([""] if decisions else []), *map(_decision, decisions)])


def _running(running: dict[str, Any]) -> str:
    return f"run {running['execution'] or 'being prepared'} {running['status']} ({running['reason']})"


def _pending(pending: dict[str, Any]) -> str:
    waits_for = pending["waits_for"] or f"nothing: {MLOPS} retrain --pending"
    return f"{pending['reason']}; triggers: {len(pending['triggers'])}; waits for: {waits_for}"


def _decision(decision: dict[str, Any]) -> str:
    why = decision["reason"] + (f"; run {decision['run']}" if decision["run"] else "")
    line = f"{decision['time'][:19]}Z  {decision['kind']:<9}  {decision['outcome']:<9}  {why}"
    return f"{line}  [{decision['cause']}]" if decision["cause"] else line
