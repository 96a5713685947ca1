"""Retraining in an account: what each strategy deploys, and every trigger from its event to the execution it starts."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import SageMakerModelBackend
from moto.sns.exceptions import SNSNotFoundError
from moto.sns.models import SNSBackend

from mlops.cli.main import main
from mlops.retraining.aws import AwsRetraining
from mlops.retraining.memory import COALESCED, DATA, MANUAL, REFUSED, SCHEDULED, STARTED, State, Trigger
from mlops.retraining.policy import Policy
from standin import deploy
from standin.account import StandInAccount
from standin.calls import CallRecord
from standin.lambdas import Delivery, deliver
from standin.needs import keys, needs
from standin.queues import drain
from standin.scripted import Clock
from standin.service_side import service_needs
from tests.infra.deployed import NAMES
from tests.infra.rendered import SLUG, configured
from tests.infra.retraining import (
    BROKEN,
    GATE_FAILED,
    PIPELINE,
    QUEUE,
    Retraining,
    created,
    ended,
    retraining,
)
from tests.projects import Bake

STRATEGIES = ("manual", "scheduled", "event-driven")
MINUTE = timedelta(minutes=1)
UNCHANGED = "no new data since version 1"


def with_data(account: StandInAccount, strategy: str, **given: str) -> Retraining:
    """Deploy retraining in a project that has a pipeline and data."""
    project = retraining(account, strategy, **given)
    project.upsert()
    project.upload("january.csv")
    return project


@pytest.fixture
def manual(account: StandInAccount) -> Retraining:
    """A project with data and a pipeline that retrains on request only."""
    return with_data(account, "manual")


@pytest.fixture
def arriving(account: StandInAccount) -> Retraining:
    """A project with a pipeline that retrains when data arrives."""
    project = retraining(account, "event-driven", GatheringMinutes="0")
    project.upsert()
    return project


def by_hand(project: Retraining, id: str, **fields: object) -> tuple[str, str]:
    """Request a run by hand, and return outcome and reason of the decision."""
    project.send(MANUAL, id=id, **fields)
    project.decide()
    decision = project.state().decisions[id]
    return decision.outcome, decision.reason


def trained(project: Retraining) -> None:
    """Train and approve a version on the data as it is."""
    assert by_hand(project, "first")[0] == STARTED
    assert project.announce(project.end("Succeeded")) == 1
    project.decide()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_is_deployed_changed_by_nothing_and_deleted(account: StandInAccount, strategy: str) -> None:
    assert deploy.findings(account, [retraining(account, strategy).stacks["retraining"]]) == []


@pytest.mark.parametrize(
    ("strategy", "rules", "schedules"),
    [
        ("manual", {"run-ended"}, {"clock"}),
        ("scheduled", {"run-ended"}, {"clock", "retraining"}),
        ("event-driven", {"run-ended", "new-data"}, {"clock"}),
    ],
)
def test_a_strategy_has_its_trigger_and_no_other(
    account: StandInAccount, strategy: str, rules: set[str], schedules: set[str]
) -> None:
    retraining(account, strategy)
    found = {rule["Name"] for rule in account.client("events").list_rules()["Rules"]}
    assert found - {f"{SLUG}-failed-run"} == {f"{SLUG}-{name}" for name in rules}
    scheduled = account.client("scheduler").list_schedules(GroupName=NAMES.retraining)["Schedules"]
    assert {schedule["Name"] for schedule in scheduled} == {f"{SLUG}-{name}" for name in schedules}


def test_the_schedule_retrains_once_per_scheduled_time(account: StandInAccount) -> None:
    project = with_data(account, "scheduled")
    schedule = account.client("scheduler").get_schedule(GroupName=NAMES.retraining, Name=f"{SLUG}-retraining")
    assert schedule["Target"]["Arn"].endswith(f":{QUEUE}")
    body = json.loads(schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", "2026-11-23T03:00:00Z"))
    for _ in range(2):
        project.send(**body)
        project.decide()
    [parameters] = project.executions().values()
    assert parameters["RunReason"] == "scheduled"
    assert project.decisions() == [(SCHEDULED, STARTED, "no limit applies")]


def test_a_new_object_retrains_and_an_event_that_comes_twice_does_not_do_so_twice(arriving: Retraining) -> None:
    events = arriving.upload("january.csv", "part/february.csv")
    assert arriving.announce(*events, *events) == 4
    arriving.decide()
    [parameters] = arriving.executions().values()
    assert parameters == {"RunReason": "data: 2 new objects"}  # its first step finds the rest
    assert arriving.announce(arriving.end("Succeeded"), *events) == 3  # the events come once more, late
    arriving.decide()
    assert len(arriving.executions()) == 1
    assert arriving.decisions() == [(DATA, STARTED, "no limit applies")]


def test_objects_that_are_no_data_trigger_nothing(arriving: Retraining) -> None:
    assert arriving.announce(*arriving.upload("_SUCCESS", ".hidden.csv", "folder/")) == 3
    arriving.decide()
    assert arriving.decisions() == []
    elsewhere = created(arriving.values["DataBucket"], f"{SLUG}/runs/x/model.tar.gz", "1")
    assert deliver(arriving.account, elsewhere) == []


@pytest.mark.parametrize("status", ["Succeeded", "Failed"])
def test_the_same_events_in_another_batch_start_no_second_run(arriving: Retraining, status: str) -> None:
    events = arriving.upload("a.csv", "b.csv", "c.csv")
    arriving.announce(*events)
    arriving.decide()
    deliver_all(arriving, arriving.end(status, BROKEN))
    for number, event in enumerate(reversed(events)):  # redriven: other messages with the same bodies, or other bodies
        arriving.send_event({**event, "id": f"{number:08}-0000-4000-8000-000000000000"})
    arriving.decide()
    assert len(arriving.executions()) == 1
    assert arriving.decisions()[-1][:2] == (DATA, REFUSED)


@pytest.mark.nightly
def test_500_objects_in_a_window_are_one_run(account: StandInAccount) -> None:
    project = retraining(account, "event-driven")
    project.upsert()
    names = [f"part-{number:03}.csv" for number in range(500)]
    for number, event in enumerate(project.upload(*names)):
        project.send_event({**event, "id": f"{number:08}-0000-4000-8000-000000000000"})
        if number == 249:
            project.decide()
            project.let_time_pass(10 * MINUTE)
    project.decide()
    assert {(kind, outcome) for kind, outcome, _ in project.decisions()} == {(DATA, COALESCED)}
    project.let_time_pass(25 * MINUTE)
    project.send("tick")
    project.decide()
    [parameters] = project.executions().values()
    assert parameters["RunReason"] == "data: 500 new objects"


def test_the_state_of_a_day_of_uploads_stays_small(manual: Retraining) -> None:
    policy, state, now = Policy(timedelta(0), 1, 3, MINUTE, 15 * MINUTE), State(), datetime.now(UTC)
    state, _ = policy.receive(state, Trigger("first", MANUAL, "", now, "s3://data/", "d"), None)
    for number in range(5000):
        trigger = Trigger(f"{uuid4()}", DATA, "9 new objects", now, "s3://data/", f"d{number}", 9)
        state, _ = policy.receive(state, trigger, None)
    manual.table().change(lambda _: state)
    [item] = manual.account.client("dynamodb").scan(TableName=NAMES.retraining)["Items"]
    assert len(item["document"]["B"]) < 100_000
    assert state.pending
    assert state.pending.objects == 45_000


def test_a_run_says_why_it_was_started(manual: Retraining) -> None:
    trained(manual)
    manual.upload("february.csv")
    assert by_hand(manual, "second", reason="prices of February")[0] == STARTED
    assert list(manual.executions().values())[-1] == {"RunReason": "manual: prices of February"}


def test_unchanged_data_is_trained_on_only_when_somebody_insists(manual: Retraining) -> None:
    trained(manual)
    assert by_hand(manual, "again") == (REFUSED, UNCHANGED)
    assert by_hand(manual, "insists", force=True)[0] == STARTED


def test_a_second_trigger_waits_for_the_end_of_the_run(manual: Retraining) -> None:
    by_hand(manual, "first")
    [arn] = manual.executions()
    january = manual.data_version()
    manual.upload("february.csv")
    assert by_hand(manual, "second") == (COALESCED, f"run {arn} is executing")
    assert manual.announce(manual.end("Succeeded", data=january)) == 1
    manual.decide()
    assert len(manual.executions()) == 2
    assert manual.state().decisions["second"].run == list(manual.executions())[-1]


def test_a_run_that_somebody_else_started_is_waited_for(manual: Retraining) -> None:
    arn = manual.account.client("sagemaker").start_pipeline_execution(
        PipelineName=PIPELINE, PipelineParameters=[{"Name": "DataVersion", "Value": "d0"}]
    )["PipelineExecutionArn"]
    assert by_hand(manual, "first") == (COALESCED, f"execution {arn} of the pipeline has not ended")
    assert manual.announce(manual.end("Stopped")) == 1
    manual.decide()
    assert len(manual.executions()) == 2
    assert manual.running.execution == list(manual.executions())[-1]


def test_a_lost_end_is_found_by_the_clock(manual: Retraining) -> None:
    by_hand(manual, "first")
    manual.end("Failed", BROKEN)  # nobody is told
    manual.send("tick")
    manual.decide()
    assert manual.state().running
    manual.let_time_pass(16 * MINUTE)
    manual.send("tick")
    manual.decide()
    assert manual.state().running is None
    assert manual.state().failed_gates == 0


def test_a_run_that_takes_long_keeps_its_lease(manual: Retraining) -> None:
    by_hand(manual, "first")
    manual.let_time_pass(timedelta(hours=5))
    manual.send("tick")
    manual.decide()
    assert manual.running.leased_until > datetime.now(UTC)


def test_what_waits_for_the_cool_down_is_started_once_by_the_clock(account: StandInAccount) -> None:
    project = with_data(account, "scheduled", CooldownMinutes="60")
    trained(project)
    project.upload("february.csv")
    project.send(SCHEDULED, id="weekly")
    project.decide()
    assert project.decisions()[-1][1] == COALESCED
    for _ in range(3):
        project.let_time_pass(25 * MINUTE)
        project.send("tick")
        project.decide()
    assert len(project.executions()) == 2


def test_failed_gates_suspend_retraining_with_one_message_until_somebody_resumes_it(
    account: StandInAccount, record: CallRecord
) -> None:
    project = with_data(account, "scheduled")
    for number in range(2):
        project.send(SCHEDULED, id=f"week-{number}")
        project.decide()
        event = project.end("Failed", GATE_FAILED)
        assert {delivery.target.rpartition(":")[2] for delivery in deliver_all(project, event)} == {QUEUE}
        project.decide()
    project.send(SCHEDULED, id="week-2")
    project.decide()
    assert project.decisions()[-1][1:] == (
        REFUSED,
        "2 runs in a row failed the quality gate, the last one on this data",
    )
    [call] = [call for call in record.calls() if call.operation == "Publish"]
    assert call.role == project.role("retr")
    assert "2 runs in a row failed" in call.parameters["Message"]
    project.send("resume", id="resume-1", reason="the gate was wrong")
    project.send(SCHEDULED, id="week-3")
    project.decide()
    assert project.decisions()[-1][1] == STARTED


def deliver_all(project: Retraining, event: Mapping[str, object]) -> list[Delivery]:
    """Deliver an event to the queue; the rule of failed runs changes its events, which the stand-in cannot."""
    project.account.client("events").disable_rule(Name=f"{SLUG}-failed-run")
    return deliver(project.account, event)


def test_each_execution_leaves_a_record_whoever_started_it(manual: Retraining) -> None:
    trained(manual)
    manual.account.client("sagemaker").start_pipeline_execution(
        PipelineName=PIPELINE, PipelineParameters=[{"Name": "DataVersion", "Value": "d0"}]
    )
    deliver_all(manual, manual.end("Failed", BROKEN))
    manual.decide()
    by_guard, by_hand_ = manual.executions()
    good, bad = manual.record(by_guard), manual.record(by_hand_)
    assert (good["status"], good["parameters"]["RunReason"]) == ("Succeeded", "manual")
    assert good["model_package"].endswith(f"model-package/{SLUG}/1")
    assert good["steps"][-1]["ended"] == "2026-11-20T11:59:00+00:00"
    assert good["started"] <= good["ended"]
    assert (bad["status"], bad["model_package"], bad["parameters"]) == ("Failed", "", {"DataVersion": "d0"})
    assert [(step["name"], step["status"]) for step in bad["steps"]] == [("Train", "Failed")]


def test_the_end_of_an_execution_that_is_gone_stops_nothing(manual: Retraining) -> None:
    gone = f"arn:aws:sagemaker:{manual.account.region}:{manual.account.id}:pipeline/{PIPELINE}/execution/gone"
    assert manual.announce(ended(manual.account, gone, "Succeeded")) == 1
    assert by_hand(manual, "first")[0] == STARTED


def test_a_report_that_could_not_be_sent_is_sent_later(
    account: StandInAccount, record: CallRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_data(account, "scheduled")
    for number in range(2):
        project.send(SCHEDULED, id=f"week-{number}")
        project.decide()
        deliver_all(project, project.end("Failed", GATE_FAILED))
        if number == 0:
            project.decide()
    with monkeypatch.context() as patch:

        def unavailable(*_: object, **__: object) -> None:
            raise SNSNotFoundError("no topic")

        patch.setattr(SNSBackend, "publish", unavailable)
        [(_, error)] = drain(project.account, QUEUE)
        assert "no topic" in error
    project.decide()
    project.send("tick")
    project.decide()
    assert [call.operation for call in record.calls()].count("Publish") == 2
    assert project.state().reported


def test_only_parameters_that_the_pipeline_declares_are_given(account: StandInAccount) -> None:
    project = retraining(account, "manual")
    project.upsert(without="RunReason")
    project.upload("january.csv")
    assert by_hand(project, "first")[0] == STARTED
    assert list(project.executions().values()) == [{}]
    assert project.running.execution


def test_a_run_that_sagemaker_refuses_has_failed_and_is_reported(account: StandInAccount, record: CallRecord) -> None:
    project = retraining(account, "manual")
    project.upsert(more="NobodyKnows")
    project.upload("january.csv")
    assert by_hand(project, "first")[0] == STARTED
    assert project.state().running is None
    assert project.executions() == {}
    [call] = [call for call in record.calls() if call.operation == "Publish"]
    assert "NobodyKnows" in call.parameters["Message"]


def test_a_long_reason_is_cut_and_harms_no_other(manual: Retraining) -> None:
    manual.send(MANUAL, id="long", reason="x" * 250_000)
    manual.send(MANUAL, id="sound")
    manual.decide()
    assert len(manual.state().decisions["long"].cause) == 256
    assert manual.state().decisions["sound"].outcome == COALESCED


def test_a_message_that_comes_after_its_decision_was_forgotten_is_decided_on_again(manual: Retraining) -> None:
    by_hand(manual, "old")
    manual.announce(manual.end("Succeeded"))
    manual.decide()
    manual.let_time_pass(timedelta(days=15))
    manual.send(MANUAL, id="old")
    manual.send(MANUAL, id="new")
    manual.decide()
    assert manual.state().decisions["new"].reason == UNCHANGED


def test_without_a_pipeline_or_data_triggers_are_refused_with_the_reason(account: StandInAccount) -> None:
    project = retraining(account, "manual")
    assert by_hand(project, "early") == (REFUSED, f"there is no data below s3://{NAMES.data_bucket}/{SLUG}/data/")
    project.upload("january.csv")
    outcome, reason = by_hand(project, "still early")
    assert outcome == REFUSED
    assert reason.startswith("the pipeline does not exist yet")
    project.upsert()
    assert by_hand(project, "now")[0] == STARTED


def test_a_function_that_dies_between_writing_and_starting_starts_the_run_once(manual: Retraining) -> None:
    policy = Policy(timedelta(0), 3, 3, timedelta(0), 15 * MINUTE)
    trigger = Trigger("dead", MANUAL, "", datetime.now(UTC), "s3://data/", "d1")
    manual.table().change(lambda state: policy.receive(state, trigger, None)[0])
    for _ in range(2):
        manual.send("tick")
        manual.decide()
    [arn] = manual.executions()
    assert manual.state().decisions["dead"].run == arn
    # Nor does it start a second one if it dies before it writes which one it started.
    manual.table().change(lambda state: replace(state, running=replace(manual.running, execution="")))
    manual.send("tick")
    manual.decide()
    assert list(manual.executions()) == [arn]


def test_a_registry_that_cannot_be_read_starts_nothing_and_loses_nothing(
    manual: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(manual)
    manual.upload("february.csv")

    def unreadable(*_: object, **__: object) -> None:
        raise AWSValidationException("the registry cannot be read")

    monkeypatch.setattr(SageMakerModelBackend, "list_model_packages", unreadable)
    manual.send(MANUAL, id="second")
    answers = drain(manual.account, QUEUE, times=5)
    assert len(answers) == 5
    assert all("the registry cannot be read" in error for _, error in answers)
    assert len(manual.executions()) == 1
    assert drain(manual.account, QUEUE) == []
    [kept] = manual.undelivered()
    assert json.loads(kept)["id"] == "second"


def test_a_message_that_is_not_understood_is_kept_and_stops_no_other(manual: Retraining) -> None:
    sqs = manual.account.client("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for body in ("no JSON", "[]", '{"kind": "unheard of"}', "{}"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    manual.send(MANUAL, id="sound")
    [(answer, error), *_] = drain(manual.account, QUEUE, times=6)
    assert error == ""
    assert len(answer["batchItemFailures"]) == 4
    assert manual.state().decisions["sound"].outcome == STARTED
    assert len(manual.undelivered()) == 4


def test_two_functions_at_once_do_not_overwrite_each_other(manual: Retraining) -> None:
    table, policy = manual.table(), Policy(timedelta(0), 3, 3, timedelta(0), 15 * MINUTE)

    def request(name: str, state: State) -> State:
        return policy.receive(state, Trigger(name, MANUAL, "", datetime.now(UTC), "s3://data/", "d1"), None)[0]

    def slow(state: State) -> State:
        if "fast" not in state.decisions:  # another one is faster
            table.change(lambda other: request("fast", other))
        return request("slow", state)

    before, after = table.change(slow)
    assert [decision.outcome for decision in after.decisions.values()] == [STARTED, COALESCED]
    assert list(before.decisions) == ["fast"]


def test_the_function_may_do_what_it_does_and_nothing_more(account: StandInAccount, record: CallRecord) -> None:
    project = with_data(account, "scheduled")
    for number in range(2):
        by_hand(project, f"{number}")
        deliver_all(project, project.end("Failed", GATE_FAILED))
        project.decide()
    by_hand(project, "last", force=True)
    deliver_all(project, project.end("Succeeded"))
    project.decide()
    calls = [call for call in record.calls() if call.role == project.role("retr")]
    used = keys(account)
    place = {"region": account.region, "account": account.id, "queue": QUEUE}
    wanted = [
        *needs(calls, used),
        *project.logs(f"/aws/lambda/{SLUG}-retraining"),
        *service_needs("lambda reads a queue", **place),
        *service_needs("lambda reads an encrypted queue", key=project.values["DataKeyArn"], region=account.region),
    ]
    assert project.judged("retr", wanted) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_schedules_may_send_messages_and_nothing_more(account: StandInAccount, strategy: str) -> None:
    project = retraining(account, strategy)
    place = {"region": account.region, "account": account.id}
    key = {"key": project.values["DataKeyArn"], "region": account.region}
    dead = service_needs("scheduler dead letters", queue=f"{QUEUE}-undelivered", **place)
    wanted = [
        *service_needs("scheduler message", queue=QUEUE, **place),
        *service_needs("scheduler dead letters encryption", **key),
        *(dead if strategy == "scheduled" else []),
    ]
    assert project.judged("rsched", wanted) == []


class Serving(Clock):
    """A clock during whose pauses the function works."""

    def __init__(self, project: Retraining) -> None:
        super().__init__()
        self.project = project

    def sleep(self, seconds: float) -> None:
        """Deliver what is in the queue."""
        super().sleep(seconds)
        self.project.decide()


@pytest.fixture
def verb(rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: StandInAccount) -> Retraining:
    """Retraining in an account that the verbs of a project in the working folder use."""
    project = retraining(account, "manual")
    monkeypatch.chdir(
        configured(rendering(project_slug=SLUG, retraining_strategy="manual"), tmp_path, account=account.id)
    )
    account.enter(monkeypatch)
    monkeypatch.setattr(AwsRetraining, "of", lambda target: AwsRetraining(target, Serving(project)))
    return project


def retrain(*arguments: str) -> int:
    """Run `mlops retrain` in the account."""
    return main(["retrain", "--environment", "dev", *arguments])


def test_the_verb_requests_a_run_and_says_what_was_decided(
    verb: Retraining, capsys: pytest.CaptureFixture[str]
) -> None:
    verb.upsert()
    verb.upload("january.csv")
    assert retrain("--reason", "prices of January") == 0
    assert capsys.readouterr().out == "Retraining started: no limit applies.\n"
    assert retrain("--json", "--reason", "once more") == 0
    decision = json.loads(capsys.readouterr().out)["decision"]
    assert (decision["outcome"], decision["cause"]) == (COALESCED, "once more")
    assert retrain("--status") == 0
    status = capsys.readouterr().out
    [arn] = verb.executions()
    assert f"running   run {arn} is executing (manual: prices of January)" in status
    assert f"waits for: run {arn} is executing" in status
    verb.end("Succeeded")
    assert retrain("--status") == 0
    assert "newest    version 1" in capsys.readouterr().out


def test_the_verb_says_why_nothing_is_trained(verb: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain() == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: No retraining: there is no data below s3://{NAMES.data_bucket}/{SLUG}/data/.")
    assert "--force" not in error  # it would not help
    verb.upload("january.csv")
    verb.upsert()
    verb.register(verb.data_version())
    assert retrain() == 1
    assert "mlops retrain --environment dev --force" in capsys.readouterr().err
    assert retrain("--force") == 0


def test_the_verb_resumes_suspended_retraining(verb: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    verb.table().change(lambda state: replace(state, failed_gates=5, failed_data="d1"))
    assert retrain("--status") == 0
    assert "SUSPENDED until there is different data" in capsys.readouterr().out
    verb.upload("january.csv")
    assert retrain("--resume", "--reason", "the gate was wrong") == 0
    assert capsys.readouterr().out == "Retraining continues: failed quality gates up to now no longer count.\n"
    assert verb.state().failed_gates == 0
    assert retrain("--status") == 0
    assert "[the gate was wrong]" in capsys.readouterr().out


def test_the_status_tells_what_a_pending_run_waits_for(verb: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    verb.upsert()
    trigger = Trigger("t", DATA, "", datetime.now(UTC), "s3://data/", "d1", 1)
    collecting = Policy(timedelta(0), 3, 3, 30 * MINUTE, 15 * MINUTE)
    verb.table().change(lambda state: collecting.receive(state, trigger, None)[0])
    # The function of this project collects nothing: it would start the run now.
    assert retrain("--status") == 0
    assert "waits for: nothing: it starts within five minutes" in capsys.readouterr().out
    arn = verb.account.client("sagemaker").start_pipeline_execution(
        PipelineName=PIPELINE, PipelineParameters=[{"Name": "DataVersion", "Value": "d0"}]
    )["PipelineExecutionArn"]
    assert retrain("--status") == 0
    assert f"waits for: execution {arn} of the pipeline has not ended" in capsys.readouterr().out


def test_the_status_of_a_run_that_is_about_to_be_started(verb: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    policy = Policy(timedelta(0), 3, 3, timedelta(0), 15 * MINUTE)
    trigger = Trigger("t", MANUAL, "", datetime.now(UTC), "s3://data/", "d1")
    verb.table().change(lambda state: policy.receive(state, trigger, None)[0])
    assert retrain("--status") == 0
    assert "running   run being prepared is executing (manual)" in capsys.readouterr().out


def test_without_a_decision_the_verb_says_not_to_ask_again(
    verb: Retraining, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Serving, "sleep", Clock.sleep)  # the function does nothing
    assert retrain() == 1
    error = capsys.readouterr().err
    assert "do not request it again" in error
    assert "mlops retrain --environment dev --status" in error


def test_the_verb_lists_runs_and_shows_one(verb: Retraining, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--environment", "dev"]) == 0
    assert "No runs yet. Start one" in capsys.readouterr().out
    verb.upsert()
    verb.upload("january.csv")
    assert retrain("--reason", "prices of January") == 0
    verb.end("Succeeded")
    capsys.readouterr()
    assert main(["runs", "--environment", "dev"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    [arn] = verb.executions()
    name = arn.rpartition("/")[2]
    assert heading.split() == ["run", "started", "status", "version", "auc", "data", "reason"]
    assert line.split()[0] == name
    assert line.split()[2:4] == ["Succeeded", "1"]
    assert line.endswith(f"{verb.data_version()}  manual: prices of January")
    assert main(["runs", name, "--environment", "dev"]) == 0
    shown = capsys.readouterr().out
    assert f"{arn}  Succeeded" in shown
    assert "RunReason = manual: prices of January" in shown
    assert f"DataVersion = {verb.data_version()}" in shown
    assert main(["runs", name, "--environment", "dev", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["execution"] == arn
    assert main(["runs", "unheard-of", "--environment", "dev"]) == 1
    assert "There is no run unheard-of." in capsys.readouterr().err
    assert main(["runs", "--environment", "staging"]) == 2
    assert "Models are trained in dev, not in staging." in capsys.readouterr().err


def test_before_it_is_deployed_the_verb_says_how_to_deploy_it(
    rendering: Bake,
    tmp_path: Path,
    here: StandInAccount,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(configured(rendering(project_slug=SLUG), tmp_path, account=here.id))
    for arguments in ([], ["--status"], ["--resume"]):
        assert retrain(*arguments) == 1
        error = capsys.readouterr().err
        assert "Retraining is not deployed in dev yet." in error
        assert "mlops deploy --environment dev" in error
