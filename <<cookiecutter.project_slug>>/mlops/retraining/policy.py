"""The rules of retraining: a trigger is started, coalesced into the pending request, or refused with a reason.

Pure functions without clock, file or service: state and facts in, state out. The caller stores the state under a lock
or with conditional writes, and starts a `State.running` that has no execution yet, with the request's token as
ClientRequestToken, so that SageMaker starts it once.

The rules: one run at a time; a cool-down after each run; a budget of runs per 24 hours; new objects are collected for a
while into one run, and events of objects that a run trains on, or has trained on, are refused; no retraining on the
data that the newest version was trained on; repeated failures of the quality gate open a circuit, which only different
data or a user passes. A manual trigger also skips cool-down and collection; budget and a running run hold for all
triggers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from mlops.registry.versions import ModelVersion
from mlops.retraining.memory import (
    COALESCED,
    DATA,
    MANUAL,
    REFUSED,
    RESUME,
    RESUMED,
    STARTED,
    Decision,
    Request,
    Run,
    State,
    Trigger,
)

DAY = timedelta(days=1)
# SQS retains messages for up to 14 days, so that a trigger may be delivered again for as long.
_MEMORY = timedelta(days=14)
LEASE = timedelta(minutes=15)
"""How long the function in AWS assumes a run to be executing."""
NO_NEW_DATA = "no new data since version"
"""How the reason of a refusal begins that `force` overrides."""
REMEMBERED = 1000
"""The maximum number of decisions that are remembered, besides those on running and pending requests."""


class Status(Enum):
    """The status of a run."""

    EXECUTING = "is executing"
    REGISTERED = "registered a version"
    GATE_FAILED = "failed the quality gate"
    FAILED = "failed"


@dataclass(frozen=True)
class Newest:
    """The newest registered version, and the version of its training data."""

    version: int
    data_version: str


def newest_of(versions: Sequence[ModelVersion]) -> Newest | None:
    """Return the newest of the registered versions; None if there is none."""
    newest = max(versions, key=lambda version: version.version, default=None)
    return Newest(newest.version, newest.metadata.get("DataVersion", "")) if newest else None


@dataclass(frozen=True)
class Policy:
    """The rules with their limits.

    Attributes:
        cooldown: The time between the end of a run and the start of the next one.
        runs_per_day: The number of runs that may start within any 24 hours; at least 1.
        failed_gates: The number of failed gates in a row that opens the circuit.
        gathering: How long a request that was triggered only by new objects waits for more of them.
        lease: How long a run is assumed to be executing, without a look at its status.
    """

    cooldown: timedelta
    runs_per_day: int
    failed_gates: int
    gathering: timedelta
    lease: timedelta

    @classmethod
    def of_variables(cls, variables: Mapping[str, str]) -> "Policy":
        """Return the policy that the environment variables of the function in AWS describe.

        Raises:
            KeyError, ValueError: A variable is missing or not a whole number.
        """
        return cls(
            cooldown=timedelta(minutes=int(variables["COOLDOWN_MINUTES"])),
            runs_per_day=int(variables["RUNS_PER_DAY"]),
            failed_gates=int(variables["FAILED_GATES"]),
            gathering=timedelta(minutes=int(variables.get("GATHERING_MINUTES", "0"))),
            lease=LEASE,
        )

    def receive(
        self, state: State, trigger: Trigger, newest: Newest | None, obstacle: str = "", hold: str = ""
    ) -> tuple[State, Decision]:
        """Decide on a trigger. A repeated trigger changes nothing.

        Args:
            state: The state, brought up to date with `advance`.
            trigger: The trigger; its time is now.
            newest: The newest registered version; None if there is none.
            obstacle: Why no run can start at all, such as a pipeline that does not exist; empty if one can.
            hold: What a run has to wait for besides the rules, such as an execution that a user started.
        """
        if trigger.id in state.decisions:
            return state, state.decisions[trigger.id]
        refusal = obstacle or self._refusal(state, trigger, newest)
        if refusal:
            state = _with_decisions(state, REFUSED, refusal, trigger.time, trigger)
        else:
            request = _joined(state.pending, trigger)
            wait = self.wait(state, request, trigger.time) or hold
            outcome, reason = (COALESCED, wait) if wait else (STARTED, "no limit applies")
            state = _with_decisions(state, outcome, reason, trigger.time, trigger)
            state = replace(state, pending=request) if wait else self._start(state, request, trigger.time)
        state = _without_old_decisions(state, trigger.time)
        return state, state.decisions[trigger.id]

    def advance(
        self,
        state: State,
        now: datetime,
        newest: Newest | None,
        describe: Callable[[Run], Status],
        data_version: str = "",
        hold: str = "",
    ) -> State:
        """Advance to a time: end a run whose end event was lost, then start the pending request if it may start.

        Args:
            state: The state.
            now: The time.
            newest: The newest registered version; None if there is none.
            describe: Returns the status of a run; called once its lease has expired.
            data_version: The current version of the pending request's data; empty if unknown.
            hold: What a run has to wait for besides the rules; empty for nothing.
        """
        run = state.running
        if run and now >= run.leased_until:
            status = describe(run)
            if status is Status.EXECUTING:
                state = replace(state, running=replace(run, leased_until=now + self.lease))
            else:
                state = self.end(state, run.request.token, status, now)
        if state.pending is None:
            return state
        request = _with_data_version(state.pending, data_version)
        refusal = _nothing_new(request.data_version, newest)
        if refusal and not request.is_forced:
            return replace(_with_decisions(state, REFUSED, refusal, now, *request.triggers), pending=None)
        if self.wait(state, request, now) or hold:
            return replace(state, pending=request)
        return self._start(state, request, now)

    def confirm(self, state: State, token: str, execution: str) -> State:
        """Record the execution of a started run."""
        run = state.running
        if run is None or run.request.token != token:
            return state
        run = replace(run, execution=execution)
        ids = {trigger.id for trigger in run.request.triggers}
        decisions = {
            name: replace(decision, run=execution) if name in ids else decision
            for name, decision in state.decisions.items()
        }
        return replace(state, running=run, decisions=decisions)

    def end(self, state: State, token: str, status: Status, now: datetime) -> State:
        """Record that the run of a request has ended; a repeated event, or one of another run, changes nothing."""
        run = state.running
        if run is None or run.request.token != token:
            return state
        state = replace(state, running=None, last_end=now, last_data=run.request.data_version)
        if status is Status.REGISTERED:
            return replace(state, failed_gates=0, failed_data="", reported=False)
        if status is Status.GATE_FAILED:
            return replace(state, failed_gates=state.failed_gates + 1, failed_data=run.request.data_version)
        return state

    @staticmethod
    def resume(state: State, id_: str, reason: str, now: datetime) -> tuple[State, Decision]:
        """Close the circuit by hand: the failed gates no longer count. A repeated id changes nothing."""
        if id_ in state.decisions:
            return state, state.decisions[id_]
        text = "failed quality gates up to now no longer count"
        decision = Decision(id_, RESUME, reason, now, RESUMED, text)
        decisions = {**state.decisions, id_: decision}
        state = replace(state, failed_gates=0, failed_data="", reported=False, decisions=decisions)
        return _without_old_decisions(state, now), decision

    def is_open(self, state: State) -> bool:
        """Return whether the circuit is open: retraining needs different data or a manual trigger."""
        return state.failed_gates >= self.failed_gates

    def must_report(self, state: State) -> bool:
        """Return whether it has to be reported that the circuit is open; `State.reported` then says that it was."""
        return self.is_open(state) and not state.reported

    def starts_left(self, state: State, now: datetime) -> int:
        """Return the number of runs that may still start in the 24 hours up to now."""
        return max(0, self.runs_per_day - len(_recent(state, now)))

    def wait(self, state: State, request: Request, now: datetime) -> str:
        """Return what a request has to wait for, as a clause; empty if it may start."""
        if state.running:
            return f"run {state.running.execution} is executing" if state.running.execution else "a run is starting"
        recent = _recent(state, now)
        if len(recent) >= self.runs_per_day:
            free = recent[-self.runs_per_day] + DAY
            return f"the budget of {self.runs_per_day} runs in 24 hours is used up until {_text(free)}"
        return "" if request.is_by_hand else self._automatic_wait(state, request, now)

    def _automatic_wait(self, state: State, request: Request, now: datetime) -> str:
        """Return what a request without a manual trigger has to wait for."""
        gathered = self._gathered(request)
        if now < gathered:
            return f"new objects are collected until {_text(gathered)}"
        if state.last_end and now < state.last_end + self.cooldown:
            return f"cool-down until {_text(state.last_end + self.cooldown)}"
        return self._circuit(state, request.data_version)

    def _refusal(self, state: State, trigger: Trigger, newest: Newest | None) -> str:
        refusal = "" if trigger.force else _nothing_new(trigger.data_version, newest) or _told_again(state, trigger)
        return refusal or ("" if trigger.kind == MANUAL else self._circuit(state, trigger.data_version))

    def _circuit(self, state: State, data_version: str) -> str:
        """Return why the circuit stops a run on this data; empty if it does not."""
        if not self.is_open(state) or data_version != state.failed_data:
            return ""
        return f"{state.failed_gates} runs in a row failed the quality gate, the last one on this data"

    def _gathered(self, request: Request) -> datetime:
        """Return when a request stops waiting for more objects."""
        first = request.triggers[0].time
        return first + self.gathering if all(trigger.kind == DATA for trigger in request.triggers) else first

    def _start(self, state: State, request: Request, now: datetime) -> State:
        return replace(
            state,
            running=Run(
                request=request,
                started=now,
                leased_until=now + self.lease,
            ),
            pending=None,
            starts=(*_recent(state, now), now),
        )


def _joined(pending: Request | None, trigger: Trigger) -> Request:
    """Return the pending request with a trigger; events of new objects that follow each other become one trigger."""
    if pending is None:
        return Request((trigger,))
    *earlier, last = pending.triggers
    if not last.kind == trigger.kind == DATA:
        return Request((*pending.triggers, trigger))
    objects, version = last.objects + trigger.objects, trigger.data_version
    return Request((*earlier, replace(last, objects=objects, data=trigger.data, data_version=version)))


def _told_again(state: State, trigger: Trigger) -> str:
    """Return why new objects are none: a run trains on them, or has done so. Their events may come more than once."""
    running = state.running
    if trigger.kind != DATA or not trigger.data_version:
        return ""
    if running and running.request.data_version == trigger.data_version:
        return "the run in progress trains on this data"
    return "the last run was on this data" if state.last_data == trigger.data_version else ""


def _with_decisions(state: State, outcome: str, reason: str, now: datetime, *triggers: Trigger) -> State:
    decisions = {
        trigger.id: Decision(trigger.id, trigger.kind, trigger.reason, now, outcome, reason) for trigger in triggers
    }
    return replace(state, decisions={**state.decisions, **decisions})


def _without_old_decisions(state: State, now: datetime) -> State:
    """Drop decisions on triggers that cannot be delivered again, except those of running and pending requests."""
    open_requests = [state.pending, state.running.request if state.running else None]
    kept = {trigger.id for request in open_requests if request for trigger in request.triggers}
    kept |= {name for name in list(state.decisions)[-REMEMBERED:] if now - state.decisions[name].time < _MEMORY}
    decisions = {name: one for name, one in state.decisions.items() if name in kept}
    return replace(state, decisions=decisions)


def _with_data_version(request: Request, data_version: str) -> Request:
    *earlier, last = request.triggers
    return Request((*earlier, replace(last, data_version=data_version or last.data_version)))


def _recent(state: State, now: datetime) -> tuple[datetime, ...]:
    return tuple(start for start in state.starts if now - start < DAY)


def _nothing_new(data_version: str, newest: Newest | None) -> str:
    """Return why there is nothing new to train on; empty if there is."""
    return f"{NO_NEW_DATA} {newest.version}" if newest and newest.data_version == data_version else ""


def _text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
