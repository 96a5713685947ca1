"""The rules of retraining. A trigger is started, coalesced into the pending request, or refused with a reason.

Nothing here reads a clock, a file or a service: state and facts in, state out. Whoever keeps the state does so under a
lock or by conditional writes, and starts a `State.running` that has no execution yet, with the request's token as
ClientRequestToken: told twice, SageMaker starts once.

The rules: no second run while one executes; a cool-down after each run; a budget of runs in 24 hours; new objects are
gathered for a while into one run; nothing is trained again on the data the newest version was made from; gates that
failed several times in a row open a circuit, which lets nothing through but other data and a person. A person also
skips cool-down and gathering; the budget and a run that executes stop everybody.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from mlops.retraining.memory import COALESCED, DATA, MANUAL, REFUSED, STARTED, Decision, Request, Run, State, Trigger

DAY = timedelta(days=1)
# The longest that SQS keeps a message, and so the longest after which a trigger can be told once more.
_MEMORY = timedelta(days=14)


class Status(Enum):
    """How a run stands."""

    EXECUTING = "is executing"
    REGISTERED = "registered a version"
    GATE_FAILED = "failed the quality gate"
    FAILED = "failed"


@dataclass(frozen=True)
class Newest:
    """The newest registered version, and the version of the data it was made from."""

    version: int
    data_version: str


@dataclass(frozen=True)
class Policy:
    """The rules with their limits.

    Attributes:
        cooldown: How long after the end of a run the next one may start.
        runs_per_day: How many runs may start within any 24 hours; at least 1.
        failed_gates: How many failed gates in a row open the circuit.
        gathering: How long a request made by new objects alone waits for more of them.
        lease: How long a run is taken to be executing without being looked at.
    """

    cooldown: timedelta
    runs_per_day: int
    failed_gates: int
    gathering: timedelta
    lease: timedelta

    def receive(self, state: State, trigger: Trigger, newest: Newest | None) -> tuple[State, Decision]:
        """Decide on a trigger. One that was decided on before changes nothing.

        Args:
            state: What is remembered; brought up to date by `advance` before.
            trigger: The trigger; its time is now.
            newest: The newest registered version; None before the first.
        """
        if trigger.id in state.decisions:
            return state, state.decisions[trigger.id]
        refusal = self._refusal(state, trigger, newest)
        if refusal:
            state = _decided(state, REFUSED, refusal, trigger.time, trigger)
        else:
            request = Request((*state.pending.triggers, trigger) if state.pending else (trigger,))
            wait = self.wait(state, request, trigger.time)
            outcome, reason = (COALESCED, wait) if wait else (STARTED, "nothing was in its way")
            state = _decided(state, outcome, reason, trigger.time, trigger)
            state = replace(state, pending=request) if wait else self._start(state, request, trigger.time)
        state = _forgetful(state, trigger.time)
        return state, state.decisions[trigger.id]

    def advance(
        self,
        state: State,
        now: datetime,
        newest: Newest | None,
        describe: Callable[[Run], Status],
        data_version: str = "",
    ) -> State:
        """Let time pass: free what a lost end event has left, then start the pending request if it may.

        Args:
            state: What is remembered.
            now: The time.
            newest: The newest registered version; None before the first.
            describe: Says how a run stands; asked once its lease is over.
            data_version: The version that the data of the pending request has now; empty if nobody has looked.
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
        request = _seen(state.pending, data_version)
        refusal = _nothing_new(request.data_version, newest)
        if refusal and not request.is_forced:
            return replace(_decided(state, REFUSED, refusal, now, *request.triggers), pending=None)
        if self.wait(state, request, now):
            return replace(state, pending=request)
        return self._start(state, request, now)

    def confirm(self, state: State, token: str, execution: str, data_version: str) -> State:
        """Note the execution that a started run has got, and the version of the data it really trains on."""
        run = state.running
        if run is None or run.request.token != token:
            return state
        run = replace(run, execution=execution, request=_seen(run.request, data_version))
        ids = {trigger.id for trigger in run.request.triggers}
        decisions = {
            name: replace(decision, run=execution) if name in ids else decision
            for name, decision in state.decisions.items()
        }
        return replace(state, running=run, decisions=decisions)

    def end(self, state: State, token: str, status: Status, now: datetime) -> State:
        """Note that the run of a request has ended; a second time, or about another run, changes nothing."""
        run = state.running
        if run is None or run.request.token != token:
            return state
        state = replace(state, running=None, last_end=now)
        if status is Status.REGISTERED:
            return replace(state, failed_gates=0, failed_data="")
        state = replace(state, untrained=run.objects)
        if status is Status.GATE_FAILED:
            return replace(state, failed_gates=state.failed_gates + 1, failed_data=run.request.data_version)
        return state

    def is_open(self, state: State) -> bool:
        """Whether the circuit is open: so many gates in a row have failed that only other data or a person helps."""
        return state.failed_gates >= self.failed_gates

    def has_opened(self, before: State, after: State) -> bool:
        """Whether the circuit has opened between two states: the time to call a person, once."""
        return after.failed_gates > before.failed_gates and self.is_open(after)

    def starts_left(self, state: State, now: datetime) -> int:
        """How many runs may still start in the 24 hours up to now."""
        return max(0, self.runs_per_day - len(_recent(state, now)))

    def wait(self, state: State, request: Request, now: datetime) -> str:
        """What a request has to wait for, as a clause; empty when it may start."""
        if state.running:
            return f"run {state.running.execution} is executing" if state.running.execution else "a run is starting"
        recent = _recent(state, now)
        if len(recent) >= self.runs_per_day:
            free = recent[-self.runs_per_day] + DAY
            return f"the budget of {self.runs_per_day} runs in 24 hours is used up until {_clock(free)}"
        return "" if request.is_by_hand else self._wait_of_machines(state, request, now)

    def _wait_of_machines(self, state: State, request: Request, now: datetime) -> str:
        """What only a person need not wait for."""
        gathered = self._gathered(request)
        if now < gathered:
            return f"new objects are gathered until {_clock(gathered)}"
        if state.last_end and now < state.last_end + self.cooldown:
            return f"cool-down until {_clock(state.last_end + self.cooldown)}"
        return self._circuit(state, request.data_version)

    def _refusal(self, state: State, trigger: Trigger, newest: Newest | None) -> str:
        refusal = "" if trigger.force else _nothing_new(trigger.data_version, newest)
        return refusal or ("" if trigger.kind == MANUAL else self._circuit(state, trigger.data_version))

    def _circuit(self, state: State, data_version: str) -> str:
        """Why the open circuit stops a run on this data; empty when it does not."""
        if not self.is_open(state) or data_version != state.failed_data:
            return ""
        return f"{state.failed_gates} runs in a row failed the quality gate, the last one on this data"

    def _gathered(self, request: Request) -> datetime:
        """From when on a request waits for no more objects."""
        first = request.triggers[0].time
        return first + self.gathering if all(trigger.kind == DATA for trigger in request.triggers) else first

    def _start(self, state: State, request: Request, now: datetime) -> State:
        return replace(
            state,
            running=Run(
                request=request,
                objects=tuple(dict.fromkeys((*state.untrained, *request.objects))),
                started=now,
                leased_until=now + self.lease,
            ),
            pending=None,
            starts=(*_recent(state, now), now),
            untrained=(),
        )


def _decided(state: State, outcome: str, reason: str, now: datetime, *triggers: Trigger) -> State:
    decisions = {
        trigger.id: Decision(trigger.id, trigger.kind, trigger.reason, now, outcome, reason) for trigger in triggers
    }
    return replace(state, decisions={**state.decisions, **decisions})


def _forgetful(state: State, now: datetime) -> State:
    """Drop decisions that nobody can ask for any more; not those of what executes or waits."""
    open_requests = [state.pending, state.running.request if state.running else None]
    kept = {trigger.id for request in open_requests if request for trigger in request.triggers}
    decisions = {name: one for name, one in state.decisions.items() if name in kept or now - one.time < _MEMORY}
    return replace(state, decisions=decisions)


def _seen(request: Request, data_version: str) -> Request:
    *earlier, last = request.triggers
    return Request((*earlier, replace(last, data_version=data_version or last.data_version)))


def _recent(state: State, now: datetime) -> tuple[datetime, ...]:
    return tuple(start for start in state.starts if now - start < DAY)


def _nothing_new(data_version: str, newest: Newest | None) -> str:
    """Why there is nothing to train again for; empty when there is."""
    return f"no new data since version {newest.version}" if newest and newest.data_version == data_version else ""


def _clock(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
