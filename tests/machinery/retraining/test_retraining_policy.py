"""The rules of retraining, one example each. `test_retraining_machine` looks for what these do not think of."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops.retraining.memory import (
    COALESCED,
    DATA,
    DRIFT,
    MANUAL,
    REFUSED,
    RESUMED,
    SCHEDULED,
    STARTED,
    Decision,
    Request,
    Run,
    State,
    Trigger,
    from_document,
    to_document,
)
from mlops.retraining.policy import REMEMBERED, Newest, Policy, Status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
POLICY = Policy(cooldown=HOUR, runs_per_day=3, failed_gates=3, gathering=5 * MINUTE, lease=2 * HOUR)


class Guard:
    """The policy with a clock, a registry and the runs that it started."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.state = State()
        self.now = NOON
        self.newest: Newest | None = None
        self.manifests: list[int] = []
        self.describe: Callable[[Run], Status] = lambda run: Status.EXECUTING
        self.triggers = 0

    def trigger(self, kind: str, data: str = "d1", *, id: str = "", **fields: Any) -> Decision:
        self.triggers += 1
        name, reason = id or f"t{self.triggers}", fields.pop("reason", "")
        trigger = Trigger(name, kind, reason, self.now, "s3://b/", data, **fields)
        self.state, decision = self.policy.receive(self.state, trigger, self.newest)
        self._execute()
        return decision

    def wait(self, duration: timedelta, data: str = "") -> None:
        self.now += duration
        self.state = self.policy.advance(self.state, self.now, self.newest, self.describe, data)
        self._execute()

    def end(self, status: Status) -> None:
        run = self.running
        if status is Status.REGISTERED:
            self.newest = Newest(self.newest.version + 1 if self.newest else 1, run.request.data_version)
        self.state = self.policy.end(self.state, run.request.token, status, self.now)
        self.wait(timedelta(0))

    @property
    def running(self) -> Run:
        assert self.state.running
        return self.state.running

    def _execute(self) -> None:
        run = self.state.running
        if run and not run.execution:
            self.manifests.append(run.request.objects)
            name = f"e{len(self.manifests)}"
            self.state = self.policy.confirm(self.state, run.request.token, name)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.mark.parametrize("kind", [MANUAL, SCHEDULED, DRIFT])
def test_a_trigger_with_nothing_in_its_way_starts_a_run(guard: Guard, kind: str) -> None:
    decision = guard.trigger(kind, reason="why")
    assert (decision.outcome, decision.cause) == (STARTED, "why")
    assert guard.state.decisions[decision.trigger].run == guard.running.execution == "e1"


def test_a_second_trigger_waits_while_a_run_executes_and_starts_after_it(guard: Guard) -> None:
    guard.trigger(SCHEDULED)
    waiting = guard.trigger(DRIFT, "d2")
    assert (waiting.outcome, waiting.reason) == (COALESCED, "run e1 is executing")
    guard.wait(HOUR)
    assert len(guard.manifests) == 1
    guard.end(Status.REGISTERED)
    guard.wait(HOUR)
    assert guard.running.execution == guard.state.decisions[waiting.trigger].run == "e2"


def test_what_somebody_else_started_is_waited_for(guard: Guard) -> None:
    trigger = Trigger("t", MANUAL, "", NOON, "s3://b/", "d1")
    state, decision = POLICY.receive(State(), trigger, None, hold="execution x has not ended")
    assert (decision.outcome, decision.reason) == (COALESCED, "execution x has not ended")
    held = POLICY.advance(state, NOON + HOUR, None, guard.describe, "d1", "execution x has not ended")
    assert (held.running, held.pending) == (None, state.pending)
    assert POLICY.advance(state, NOON + HOUR, None, guard.describe, "d1").running


def test_an_obstacle_refuses_every_trigger() -> None:
    for kind in (MANUAL, SCHEDULED):
        trigger = Trigger(kind, kind, "", NOON, "s3://b/", "d1", force=True)
        state, decision = POLICY.receive(State(), trigger, None, "there is no pipeline")
        assert (decision.outcome, decision.reason) == (REFUSED, "there is no pipeline")
        assert (state.running, state.pending) == (None, None)


def test_a_person_closes_the_circuit(guard: Guard) -> None:
    for _ in range(3):
        guard.trigger(MANUAL)
        guard.end(Status.GATE_FAILED)
    assert guard.policy.is_open(guard.state)
    guard.now += HOUR
    assert guard.trigger(SCHEDULED).outcome == REFUSED
    guard.state, decision = guard.policy.resume(guard.state, "resume-1", "the gate was wrong", guard.now)
    assert (decision.outcome, decision.cause) == (RESUMED, "the gate was wrong")
    assert guard.policy.resume(guard.state, "resume-1", "once more", guard.now)[0] == guard.state
    assert guard.trigger(SCHEDULED).outcome == COALESCED  # of three runs a day, none is left
    guard.wait(24 * HOUR, "d1")
    assert guard.running


def test_decisions_are_not_remembered_without_end(guard: Guard) -> None:
    guard.trigger(MANUAL, id="first")
    for number in range(REMEMBERED + 5):
        guard.state, _ = POLICY.receive(
            guard.state, Trigger(f"{number}", DATA, "", guard.now, "", "d1"), None, "no data"
        )
    assert len(guard.state.decisions) == REMEMBERED + 1
    assert "first" in guard.state.decisions  # of a run that executes
    assert {"0", "4"}.isdisjoint(guard.state.decisions)


def test_the_same_trigger_told_twice_is_decided_on_once(guard: Guard) -> None:
    first = guard.trigger(DRIFT, id="alarm-1")
    before = guard.state
    again = guard.trigger(DRIFT, id="alarm-1")
    assert replace(again, run="") == first
    assert guard.state == before


def test_an_alarm_during_the_cool_down_starts_one_run_when_it_ends(guard: Guard) -> None:
    guard.trigger(SCHEDULED)
    guard.end(Status.REGISTERED)
    alarm = guard.trigger(DRIFT, "d2")
    assert (alarm.outcome, alarm.reason) == (COALESCED, "cool-down until 2026-01-01 13:00 UTC")
    guard.wait(HOUR - MINUTE)
    assert guard.state.running is None
    for _ in range(5):
        guard.wait(MINUTE)
    assert len(guard.manifests) == 2


def test_the_cool_down_counts_from_the_end_of_a_run(guard: Guard) -> None:
    guard.trigger(SCHEDULED)
    guard.now += timedelta(minutes=90)
    guard.end(Status.FAILED)
    assert guard.trigger(SCHEDULED).reason == "cool-down until 2026-01-01 14:30 UTC"


def test_the_budget_holds_for_any_24_hours_and_for_a_person_too(guard: Guard) -> None:
    for number in range(3):
        assert guard.trigger(MANUAL, f"d{number}").outcome == STARTED
        guard.end(Status.REGISTERED)
        guard.wait(2 * HOUR)
    assert guard.policy.starts_left(guard.state, guard.now) == 0
    over = guard.trigger(MANUAL, "d9")
    assert over.outcome == COALESCED
    assert over.reason == "the budget of 3 runs in 24 hours is used up until 2026-01-02 12:00 UTC"
    guard.wait(18 * HOUR - MINUTE)
    assert guard.state.running is None
    guard.wait(MINUTE)
    assert guard.running.execution == "e4"


def test_500_objects_in_a_window_are_one_run_that_counts_them_all(guard: Guard) -> None:
    decisions = [guard.trigger(DATA, f"d{n}", objects=1) for n in range(500)]
    assert {decision.outcome for decision in decisions} == {COALESCED}
    assert decisions[0].reason == "new objects are collected until 2026-01-01 12:05 UTC"
    guard.wait(5 * MINUTE)
    assert guard.manifests == [500]
    assert guard.running.request.reason == "data: 500 new objects"
    assert guard.running.request.data_version == "d499"
    assert guard.state.decisions[decisions[0].trigger].run == "e1"
    assert len(guard.running.request.triggers) == 1


def test_objects_that_arrive_while_a_run_executes_are_the_next_run_together(guard: Guard) -> None:
    guard.trigger(SCHEDULED)
    for number in range(500):
        guard.trigger(DATA, f"n{number}", objects=1)
        guard.now += timedelta(seconds=1)
    guard.end(Status.REGISTERED)
    guard.wait(HOUR)
    assert guard.manifests == [0, 500]


@pytest.mark.parametrize("status", [Status.FAILED, Status.GATE_FAILED, Status.REGISTERED])
def test_events_of_objects_that_a_run_has_trained_on_start_no_other(guard: Guard, status: Status) -> None:
    guard.trigger(DATA, "d1", objects=2)
    guard.wait(5 * MINUTE)
    while_it_runs = guard.trigger(DATA, "d1", objects=2)
    assert (while_it_runs.outcome, while_it_runs.reason) == (REFUSED, "the run in progress trains on this data")
    guard.end(status)
    assert guard.trigger(DATA, "d1", objects=2).outcome == REFUSED
    guard.wait(2 * HOUR)
    assert guard.manifests == [2]
    guard.trigger(DATA, "d2", objects=1)
    guard.wait(HOUR)
    assert guard.manifests == [2, 1]


def test_a_schedule_repeats_a_run_that_failed(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    guard.end(Status.FAILED)
    guard.now += HOUR
    assert guard.trigger(SCHEDULED, "d1").outcome == STARTED


def test_a_person_does_not_wait_for_more_objects_and_takes_those_that_are_there(guard: Guard) -> None:
    guard.trigger(DATA, "d1", objects=1)
    assert guard.trigger(MANUAL, "d1").outcome == STARTED
    assert guard.manifests == [1]


@pytest.mark.parametrize("kind", [MANUAL, SCHEDULED, DATA, DRIFT])
def test_unchanged_data_is_refused_with_the_version_made_from_it(guard: Guard, kind: str) -> None:
    guard.newest = Newest(3, "d1")
    decision = guard.trigger(kind, "d1")
    assert (decision.outcome, decision.reason) == (REFUSED, "no new data since version 3")
    assert (guard.state.running, guard.state.pending) == (None, None)


def test_a_person_can_force_a_run_on_unchanged_data(guard: Guard) -> None:
    guard.newest = Newest(3, "d1")
    assert guard.trigger(MANUAL, "d1", force=True).outcome == STARTED


def test_a_forced_run_that_waits_is_not_refused_when_it_may_start(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    assert guard.trigger(MANUAL, "d1", force=True).outcome == COALESCED
    guard.end(Status.REGISTERED)
    assert guard.running.execution == "e2"


def test_what_waits_is_refused_when_the_run_before_it_has_trained_on_the_same_data(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    waiting = guard.trigger(DRIFT, "d1")
    assert waiting.outcome == COALESCED
    guard.end(Status.REGISTERED)
    after = guard.state.decisions[waiting.trigger]
    assert (after.outcome, after.reason) == (REFUSED, "no new data since version 1")
    assert guard.state.pending is None


def test_what_waits_is_started_when_the_run_before_it_failed_on_the_same_data(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    guard.trigger(DRIFT, "d1")
    guard.end(Status.FAILED)
    guard.wait(HOUR)
    assert guard.running.execution == "e2"


def test_what_waits_is_judged_by_the_data_as_it_is_when_it_could_start(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    guard.trigger(DRIFT, "d1")
    guard.newest = Newest(1, "d1")
    guard.state = guard.policy.end(guard.state, guard.running.request.token, Status.REGISTERED, guard.now)
    guard.wait(HOUR, data="d2")
    assert guard.running.request.data_version == "d2"


def failed_three_times(guard: Guard) -> None:
    for _ in range(3):
        guard.trigger(DRIFT, "d1")
        guard.end(Status.GATE_FAILED)
        guard.wait(2 * HOUR)
    guard.wait(24 * HOUR)


def test_three_failed_gates_in_a_row_stop_machines_that_have_no_other_data(guard: Guard) -> None:
    failed_three_times(guard)
    decision = guard.trigger(DRIFT, "d1")
    assert decision.outcome == REFUSED
    assert decision.reason == "3 runs in a row failed the quality gate, the last one on this data"


@pytest.mark.parametrize(("kind", "data"), [(DRIFT, "d2"), (DATA, "d2"), (MANUAL, "d1")])
def test_other_data_or_a_person_gets_through_the_open_circuit(guard: Guard, kind: str, data: str) -> None:
    failed_three_times(guard)
    guard.trigger(kind, data)
    guard.wait(5 * MINUTE)
    assert guard.running.execution == "e4"


def test_after_a_success_three_gates_must_fail_again(guard: Guard) -> None:
    failed_three_times(guard)
    guard.trigger(MANUAL, "d1")
    guard.end(Status.REGISTERED)
    assert not guard.policy.is_open(guard.state)
    guard.wait(HOUR)
    guard.trigger(SCHEDULED, "d2")
    guard.end(Status.GATE_FAILED)
    assert guard.trigger(SCHEDULED, "d2").outcome == COALESCED


def test_what_waits_when_the_circuit_opens_is_kept_until_a_person_comes(guard: Guard) -> None:
    for _ in range(2):
        guard.trigger(DRIFT, "d1")
        guard.end(Status.GATE_FAILED)
        guard.wait(HOUR)
    guard.trigger(DRIFT, "d1")
    waiting = guard.trigger(SCHEDULED, "d1")
    guard.end(Status.GATE_FAILED)
    guard.wait(48 * HOUR)
    assert guard.state.running is None
    guard.trigger(MANUAL, "d1")
    assert guard.state.decisions[waiting.trigger].run == "e4"


def test_a_person_is_called_once_for_each_opening_of_the_circuit(guard: Guard) -> None:
    calls = []
    for data in ("d1", "d1", "d1", "d2", "d3"):
        guard.trigger(MANUAL, data)
        guard.end(Status.FAILED if data == "d2" else Status.GATE_FAILED)
        calls.append(guard.policy.must_report(guard.state))
        guard.state = replace(guard.state, reported=guard.state.reported or calls[-1])
        guard.wait(24 * HOUR)
    assert calls == [False, False, True, False, False]
    guard.trigger(MANUAL, "d4")
    guard.end(Status.REGISTERED)
    assert not guard.state.reported


def test_a_lost_end_event_is_noticed_when_the_lease_is_over(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    guard.trigger(SCHEDULED, "d2")
    guard.describe = lambda run: Status.GATE_FAILED
    guard.wait(2 * HOUR - MINUTE)
    assert guard.running.execution == "e1"
    guard.wait(MINUTE)
    assert guard.state.running is None
    assert guard.state.failed_gates == 1
    guard.wait(HOUR)
    assert guard.running.execution == "e2"


def test_a_long_run_keeps_its_lease(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    for _ in range(10):
        guard.wait(2 * HOUR)
    assert guard.running.execution == "e1"


def test_an_end_told_twice_counts_once_and_never_for_another_run(guard: Guard) -> None:
    guard.trigger(SCHEDULED, "d1")
    old = guard.running.request.token
    guard.end(Status.GATE_FAILED)
    guard.wait(HOUR)
    guard.trigger(SCHEDULED, "d2")
    before = guard.state
    assert guard.policy.end(before, old, Status.GATE_FAILED, guard.now) == before
    assert guard.policy.confirm(before, old, "e9") == before


def test_the_token_is_that_of_the_first_trigger_and_one_that_sagemaker_takes(guard: Guard) -> None:
    one, other = (Trigger(name, DRIFT, "", NOON, "", "d1") for name in ("a", "b"))
    assert Request((one,)).token == Request((one, other)).token != Request((other,)).token
    assert len(Request((one,)).token) == 64


@pytest.mark.parametrize(
    ("causes", "reason"),
    [
        ([(MANUAL, "")], "manual"),
        ([(MANUAL, "new year's data (2024)")], "manual: new year s data 2024"),
        ([(DRIFT, "income"), (SCHEDULED, ""), (DRIFT, "income")], "drift: income / scheduled"),
        ([(MANUAL, "größe a/b=1+2@x_y.z-")], "manual: größe a/b=1+2@x_y.z-"),
    ],
)
def test_the_reason_is_one_that_a_model_package_takes(causes: list[tuple[str, str]], reason: str) -> None:
    assert Request(tuple(Trigger(kind, kind, why, NOON, "", "d") for kind, why in causes)).reason == reason


def test_a_long_reason_is_cut() -> None:
    assert len(Request((Trigger("t", MANUAL, "x" * 300, NOON, "", "d"),)).reason) == 256


def test_the_state_survives_as_json(guard: Guard) -> None:
    guard.trigger(DATA, "d1", objects=1)
    guard.wait(5 * MINUTE)
    guard.end(Status.FAILED)
    guard.trigger(MANUAL, "d2", force=True)
    guard.trigger(DRIFT, "d3", reason="age")
    assert from_document(json.loads(json.dumps(to_document(guard.state)))) == guard.state


def test_the_state_of_release_0_4_0_is_read(guard: Guard) -> None:
    guard.trigger(MANUAL, "d1", reason="why")
    guard.trigger(DRIFT, "d2")
    document = to_document(guard.state)
    for request in (document["running"]["request"], document["pending"]):
        for trigger in request["triggers"]:
            trigger["objects"] = []
    document["running"] |= {"objects": []}
    document |= {"untrained": []}
    for name in ("last_data", "reported"):
        del document[name]
    del document["running"]["parameters"]
    assert from_document(document) == guard.state


def test_decisions_are_kept_as_long_as_a_trigger_can_be_told_again(guard: Guard) -> None:
    old = guard.trigger(SCHEDULED, "d1")
    guard.end(Status.REGISTERED)
    guard.wait(timedelta(days=14) - MINUTE)
    guard.trigger(SCHEDULED, "d1")
    assert old.trigger in guard.state.decisions
    guard.wait(MINUTE)
    guard.trigger(SCHEDULED, "d1")
    assert old.trigger not in guard.state.decisions
