"""The rules of retraining under any order of events: triggers, ends told late, twice or never, crashes, restarts."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from mlops.retraining.memory import (
    COALESCED,
    DATA,
    DRIFT,
    MANUAL,
    REFUSED,
    SCHEDULED,
    STARTED,
    Run,
    State,
    Trigger,
    from_document,
    to_document,
)
from mlops.retraining.policy import DAY, Newest, Policy, Status

pytestmark = pytest.mark.slow

KINDS = st.sampled_from([MANUAL, SCHEDULED, DRIFT, *[DATA] * 3])
ENDS = st.sampled_from([Status.REGISTERED, Status.GATE_FAILED, Status.FAILED])
DURATIONS = st.sampled_from([timedelta(minutes=minutes) for minutes in (1, 15, 90, 180, 24 * 60)])
LIMITS = st.builds(
    Policy,
    cooldown=st.sampled_from([timedelta(minutes=90), timedelta(0)]),
    runs_per_day=st.sampled_from([1, 3, 4]),
    failed_gates=st.integers(1, 3),
    gathering=st.sampled_from([timedelta(0), timedelta(minutes=1)]),
    lease=st.sampled_from([timedelta(0), timedelta(hours=3)]),
)


class Retraining(RuleBasedStateMachine):
    """A bucket, a registry and pipeline executions around the policy, as an account has them."""

    triggers = Bundle("triggers")

    @initialize(policy=LIMITS)
    def begin(self, policy: Policy) -> None:
        self.policy = policy
        self.state = State()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.data = 0
        self.hold = ""
        self.newest: Newest | None = None
        self.told: dict[str, Trigger] = {}
        self.announced = self.refused = 0
        self.runs: dict[str, Run] = {}
        self.executions: dict[str, Status] = {}

    @property
    def version(self) -> str:
        return f"d{self.data}"

    @property
    def executing(self) -> list[str]:
        return [token for token, status in self.executions.items() if status is Status.EXECUTING]

    def keep(self, state: State) -> None:
        """Keep the state that the policy gave; judge the run that it started, if it did."""
        run = state.running
        if run and run.request.token not in self.runs:
            assert not self.executing, "two runs at once"
            assert not self.hold, "a run beside one that somebody else started"
            assert not self.newest or run.request.is_forced or run.request.data_version != self.newest.data_version
            self.runs[run.request.token] = run
        elif self.state.pending and not state.pending:
            self.refused += self.state.pending.objects  # they were no news to the newest version
        self.state = state

    def execute(self) -> None:
        """Start what is to be started; told twice, it starts once."""
        run = self.state.running
        if run and not run.execution:
            self.executions.setdefault(run.request.token, Status.EXECUTING)
            execution = f"e-{run.request.token[:8]}"
            self.keep(self.policy.confirm(self.state, run.request.token, execution))

    def advance(self) -> None:
        def describe(run: Run) -> Status:
            return self.executions.get(run.request.token, Status.FAILED)

        self.keep(self.policy.advance(self.state, self.now, self.newest, describe, self.version, self.hold))

    def register(self, data_version: str) -> None:
        self.newest = Newest(self.newest.version + 1 if self.newest else 1, data_version)

    @rule(target=triggers, kind=KINDS, force=st.booleans(), dies=st.booleans())
    def a_trigger_arrives(self, kind: str, force: bool, dies: bool) -> Trigger:
        """If the process dies before it starts what was decided, the next event finds it."""
        announced = int(kind == DATA)
        self.data += announced
        name = f"t{len(self.told)}"
        trigger = Trigger(name, kind, "", self.now, "s3://b/", self.version, announced, force and kind == MANUAL)
        self.told[name] = trigger
        self.advance()
        state, decision = self.policy.receive(self.state, trigger, self.newest, hold=self.hold)
        self.keep(state)
        assert decision == state.decisions[name]
        self.announced += announced if decision.outcome != REFUSED else 0
        if not dies:
            self.execute()
        return trigger

    @rule(trigger=triggers)
    def a_trigger_is_told_again(self, trigger: Trigger) -> None:
        if self.now - trigger.time < timedelta(days=14):
            again = replace(trigger, time=self.now, data_version=self.version)
            state, decision = self.policy.receive(self.state, again, self.newest)
            assert (state, decision) == (self.state, self.state.decisions[trigger.id])

    @rule(duration=DURATIONS)
    def time_passes(self, duration: timedelta) -> None:
        self.now += duration
        self.advance()
        self.execute()

    @precondition(lambda self: self.executing)
    @rule(status=ENDS)
    def the_end_of_a_run_is_lost(self, status: Status) -> None:
        self.a_run_ends(status, times=0)

    @precondition(lambda self: self.executing)
    @rule(status=ENDS, times=st.integers(1, 2))
    def a_run_ends(self, status: Status, times: int) -> None:
        """Its end may be told twice."""
        for token in self.executing:
            self.executions[token] = status
            if status is Status.REGISTERED:
                self.register(self.runs[token].request.data_version)
            for _ in range(times):
                self.keep(self.policy.end(self.state, token, status, self.now))

    @rule()
    def a_person_trains_without_a_trigger(self) -> None:
        self.register(self.version)

    @precondition(lambda self: not self.executing)
    @rule()
    def somebody_else_starts_a_run(self) -> None:
        if not (self.state.running and not self.state.running.execution):
            self.hold = "somebody else's run"

    @rule()
    def the_run_of_somebody_else_ends(self) -> None:
        self.hold = ""

    @invariant()
    def a_restart_loses_nothing(self) -> None:
        self.state = from_document(json.loads(json.dumps(to_document(self.state))))

    @invariant()
    def the_budget_holds(self) -> None:
        starts = [run.started for run in self.runs.values()]
        for start in starts:
            assert sum(start <= other < start + DAY for other in starts) <= self.policy.runs_per_day

    @invariant()
    def machines_wait_for_the_cool_down(self) -> None:
        running = self.state.running
        if running and not running.request.is_by_hand and self.state.last_end:
            assert running.started - self.state.last_end >= self.policy.cooldown

    @invariant()
    def every_trigger_is_found_and_is_in_one_place(self) -> None:
        requests = [run.request for run in self.runs.values()] + ([self.state.pending] if self.state.pending else [])
        places = Counter(trigger.id for request in requests for trigger in request.triggers)
        for name, trigger in self.told.items():
            decision = self.state.decisions.get(name)
            if decision is None:
                assert self.now - trigger.time >= timedelta(days=14)
            else:
                assert decision.outcome in (STARTED, COALESCED, REFUSED)
                joined = trigger.kind == DATA and decision.outcome == COALESCED  # another one stands for it
                assert places[name] == (decision.outcome != REFUSED) or joined

    @invariant()
    def no_object_is_forgotten(self) -> None:
        requests = [run.request for run in self.runs.values()] + ([self.state.pending] if self.state.pending else [])
        assert sum(request.objects for request in requests) + self.refused == self.announced

    def teardown(self) -> None:
        """Whatever happened: when all blocks have ended, what waits starts, unless there is nothing new in it."""
        if not hasattr(self, "state"):
            return
        self.a_run_ends(Status.FAILED, times=1)
        self.hold = ""
        waiting = self.state.pending
        self.now += self.policy.cooldown + self.policy.gathering + self.policy.lease + DAY
        self.advance()  # frees a run that nobody has told the end of: another cool-down begins
        self.now += self.policy.cooldown
        self.advance()
        if self.state.pending:
            assert self.policy.is_open(self.state)
            assert self.state.failed_data == self.version
            assert not self.state.pending.is_by_hand
        elif waiting:
            outcomes = {self.state.decisions[trigger.id].outcome for trigger in waiting.triggers}
            assert waiting.token in self.runs or outcomes == {REFUSED}


TestRetraining = Retraining.TestCase
TestRetraining.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
