"""The status of retraining, for people and programs."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from mlops.retraining.memory import State, to_document
from mlops.retraining.policy import Newest, Policy, Status


def status(policy: Policy, state: State, newest: Newest | None, now: datetime, run: Status | None) -> dict[str, Any]:
    """Return the status of retraining as a JSON document: the state, and what follows from it.

    Args:
        policy: The rules.
        state: The state.
        newest: The newest registered version; None if there is none.
        now: The time.
        run: The status of the run in the state; None without a run.
    """
    document = to_document(state)
    if state.running and run:
        document["running"] |= {"status": run.value, "reason": state.running.request.reason}
        if run is not Status.EXECUTING:  # the pending request no longer waits for it
            state = policy.end(state, state.running.request.token, run, now)
    if state.pending:
        waits_for = policy.wait(state, state.pending, now)
        document["pending"] |= {"waits_for": waits_for, "reason": state.pending.reason}
    return document | {
        "circuit_is_open": policy.is_open(state),
        "failed_gates_allowed": policy.failed_gates,
        "runs_left": policy.starts_left(state, now),
        "runs_per_day": policy.runs_per_day,
        "newest": asdict(newest) if newest else None,
    }
