"""Retrain the model within the limits of the configuration, and record why.

Retraining is triggered by a user (this verb), by monitoring or, in AWS, by a schedule or new data. A trigger starts a
run, joins the pending one, or is refused with a reason: see docs/retraining.md.
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
from mlops.retraining.memory import MANUAL, REFUSED, RESUME, Decision
from mlops.retraining.policy import NO_NEW_DATA
from mlops.run.retraining import Guard, Outcome, retrain
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
        "--resume", action="store_true", help="trigger nothing; let retraining continue after failed quality gates"
    )
    instead.add_argument(
        "--status", action="store_true", help="show the running and the pending run and recent decisions, and exit"
    )
    parser.add_argument("--environment", default=LOCAL, help="environment (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Retrain, start the pending run, or print the status; return 0 unless a run failed or was refused."""
    if (options.pending or options.status or options.resume) and (options.data or options.force):
        raise UsageError("--data and --force apply only to a new retraining.", "Leave them out.")
    if (options.pending or options.status) and options.reason:
        raise UsageError("--reason applies only to a new retraining.", "Leave it out.")
    return _run_here(target, options) if target.is_local else _run_in_aws(target, options)


def _run_here(target: Target, options: Namespace) -> int:
    if options.status:
        return _print_status(Guard.of(target).status(), options)
    if options.resume:
        return _print_decision(Guard.of(target).resume(_new_id(RESUME), options.reason), target, options)
    if options.pending:
        return _show(target.project, Guard.of(target).serve(None), as_json=options.json)
    outcome = retrain(target, MANUAL, _new_id(MANUAL), options.reason, options.data, force=options.force)
    refused = outcome.decision if outcome.decision and outcome.decision.outcome == REFUSED else None
    if refused and not options.json:
        raise _refusal(refused, "")
    return _show(target.project, outcome, as_json=options.json) or int(refused is not None)


def _run_in_aws(target: Target, options: Namespace) -> int:
    from mlops.retraining.aws import AwsRetraining  # boto3 costs 0.2 s, which the local verbs do not pay

    if options.data or options.pending:
        raise UsageError(
            "--data and --pending apply to this machine: in AWS, runs read the data in the data bucket, and a pending "
            "run starts by itself.",
            f"Leave them out, or leave out --environment {target.environment}.",
        )
    retraining = AwsRetraining.of(target)
    if options.status:
        return _print_status(retraining.status(), options)
    if options.resume:
        return _print_decision(retraining.resume(_new_id(RESUME), options.reason), target, options)
    decision = retraining.request(_new_id(MANUAL), options.reason, force=options.force)
    if decision.outcome == REFUSED and not options.json:
        raise _refusal(decision, f" --environment {target.environment}")
    return _print_decision(decision, target, options) or int(decision.outcome == REFUSED)


def _refusal(decision: Decision, where: str) -> MlopsError:
    again = f"Provide new data, or retrain on the same data: {MLOPS} retrain{where} --force"
    return MlopsError(f"No retraining: {decision.reason}.", again if decision.reason.startswith(NO_NEW_DATA) else "")


def _new_id(kind: str) -> str:
    return f"{kind}-{new_run_id()}"


def _print_decision(decision: Decision, target: Target, options: Namespace) -> int:
    text = decision.text(target.environment)
    print(json.dumps({"decision": decision.document()}, indent=2) if options.json else text)
    return 0


def _print_status(status: dict[str, Any], options: Namespace) -> int:
    print(json.dumps(status, indent=2) if options.json else _text(status, options.environment))
    return 0


def _show(project: Project, outcome: Outcome, *, as_json: bool) -> int:
    text = outcome.text(project) or f"Nothing was started. What is pending, and why: {MLOPS} retrain --status"
    print(json.dumps(outcome.document(), indent=2) if as_json else text)
    return outcome.exit_code


def _text(status: dict[str, Any], environment: str) -> str:
    running, pending, newest = status["running"], status["pending"], status["newest"]
    made_from = f"version {newest['version']}, data {newest['data_version']}" if newest else "no version yet"
    automatic = "SUSPENDED until there is different data, or a user retrains or resumes"
    automatic = automatic if status["circuit_is_open"] else "on"
    failed, allowed = status["failed_gates"], status["failed_gates_allowed"]
    lines = [
        f"running   {_running(running) if running else 'nothing'}",
        f"pending   {_pending(pending, environment) if pending else 'nothing'}",
        f"automatic {automatic} ({failed} of {allowed} gates failed in a row)",
        f"budget    {status['runs_left']} of {status['runs_per_day']} runs left in 24 hours",
        f"newest    {made_from}",
    ]
    decisions = status["decisions"][: -_DECISIONS - 1 : -1]
    return "\n".join([*lines, *([""] if decisions else []), *map(_decision, decisions)])


def _running(running: dict[str, Any]) -> str:
    return f"run {running['execution'] or 'being prepared'} {running['status']} ({running['reason']})"


def _pending(pending: dict[str, Any], environment: str) -> str:
    start = f"{MLOPS} retrain --pending" if environment == LOCAL else "it starts within five minutes"
    waits_for = pending["waits_for"] or f"nothing: {start}"
    return f"{pending['reason']}; triggers: {len(pending['triggers'])}; waits for: {waits_for}"


def _decision(decision: dict[str, Any]) -> str:
    why = decision["reason"] + (f"; run {decision['run']}" if decision["run"] else "")
    line = f"{decision['time'][:19]}Z  {decision['kind']:<9}  {decision['outcome']:<9}  {why}"
    return f"{line}  [{decision['cause']}]" if decision["cause"] else line
