"""Retrain the model within the limits of the configuration, and record why.

Retraining is triggered by a user (this verb) or by monitoring. A trigger starts a run, joins the pending one, or is
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
    parser.add_argument("--reason", default="", help="reason, recorded with the version")
    parser.add_argument("--data", type=Path, help="file or folder to train on (default: `data_folder` in config)")
    parser.add_argument("--force", action="store_true", help="train even if there is no new data")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--pending", action="store_true", help="trigger nothing; start the pending run if it may start"
    )
    instead.add_argument(
        "--status", action="store_true", help="show the running and the pending run and recent decisions, and exit"
    )
    parser.add_argument("--environment", default=LOCAL, help="environment (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Retrain, start the pending run, or print the status; return 0 unless a run failed or was refused."""
    if not target.is_local:
        raise UsageError(
            f"Retraining in {options.environment} is not supported yet.",
            f"Start its pipeline: {MLOPS} upsert --environment {options.environment} --start",
        )
    if (options.pending or options.status) and (options.reason or options.data or options.force):
        raise UsageError("--reason, --data and --force apply only to a new retraining.", "Leave them out.")
    if options.status:
        status = Guard.of(target).status()
        print(json.dumps(status, indent=2) if options.json else _text(status))
        return 0
    if options.pending:
        return _show(target.project, Guard.of(target).serve(None), as_json=options.json)
    outcome = retrain(target, MANUAL, f"{MANUAL}-{new_run_id()}", options.reason, options.data, force=options.force)
    refusal = outcome.decision if outcome.decision and outcome.decision.outcome == REFUSED else None
    if refusal and not options.json:
        remedy = f"Provide new data, or retrain on the same data: {MLOPS} retrain --force"
        raise MlopsError(f"No retraining: {refusal.reason}.", remedy)
    return _show(target.project, outcome, as_json=options.json) or int(refusal is not None)


def _show(project: Project, outcome: Outcome, *, as_json: bool) -> int:
    text = outcome.text(project) or f"Nothing was started. To see why: {MLOPS} retrain --status"
    print(json.dumps(outcome.document(), indent=2) if as_json else text)
    return outcome.exit_code


def _text(status: dict[str, Any]) -> str:
    running, pending, newest = status["running"], status["pending"], status["newest"]
    made_from = f"version {newest['version']}, data {newest['data_version']}" if newest else "no version yet"
    circuit = "open: waits for different data or a manual trigger" if status["circuit_is_open"] else "closed"
    lines = [
        f"running   {_running(running) if running else 'nothing'}",
        f"pending   {_pending(pending) if pending else 'nothing'}",
        f"circuit   {circuit} ({status['failed_gates']} of {status['failed_gates_allowed']} gates failed in a row)",
        f"budget    {status['runs_left']} of {status['runs_per_day']} runs left in 24 hours",
        f"newest    {made_from}",
    ]
    decisions = status["decisions"][: -_DECISIONS - 1 : -1]
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
