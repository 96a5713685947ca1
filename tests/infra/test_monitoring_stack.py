"""Monitoring in an account: captured traffic, the compiled pipeline, metrics, alarms, and the retraining they start."""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.csv as arrow_csv
import pytest

from mlops.pipeline import submission
from mlops.pipeline.definition import Definition
from mlops.project import pipelines
from mlops.project.project import Project
from mlops.project.target import Target
from model.schema import SCHEMA
from modelkit import dataset, synthetic
from standin import deploy
from standin.account import ACCOUNT, REGION, StandInAccount
from standin.calls import CallRecord
from standin.deploy import Stack
from standin.lambdas import deliver, invoke
from standin.needs import Need, keys, needs
from standin.service_side import service_needs
from standin.template import parse
from tests.environments import give
from tests.infra.deployed import NAMES
from tests.infra.monitoring import LIMITS, PIPELINE, STACKS, Monitoring, alarm_rings
from tests.infra.rendered import SLUG, configure, texts
from tests.infra.retraining import Retraining
from tests.infra.samples import VALUES
from tests.infra.several_accounts import Part
from tests.projects import Bake, mlops, mlops_json

FUNCTIONS = (f"{SLUG}-monitoring-collect", f"{SLUG}-monitoring-publish")
METRIC_BASED = {"retraining_strategy": "metric-based"}
SINCE = "2020-01-01T00:00:00Z"


def until_now() -> dict[str, str]:
    """A window that ends as late as AWS's clock and ours may differ."""
    return {"WindowStart": SINCE, "WindowEnd": f"{datetime.now(UTC) + timedelta(minutes=4):%FT%TZ}"}


@pytest.fixture
def monitoring(account: StandInAccount) -> Monitoring:
    return Monitoring.into(account, METRIC_BASED, STACKS, **LIMITS)


@pytest.fixture
def of_batches(account: StandInAccount) -> Monitoring:
    return Monitoring.into(account, {**METRIC_BASED, "inference": "batch"}, STACKS, **LIMITS)


@pytest.fixture
def asynchronous(account: StandInAccount) -> Monitoring:
    return Monitoring.into(account, {**METRIC_BASED, "inference": "async"}, STACKS, **LIMITS)


def with_version(project: Path) -> Path:
    """Let a project register a version on this machine, and configure it for an account."""
    configure(give(project), account=ACCOUNT)
    mlops(project, "run")
    mlops(project, "approve", "latest")
    return project


def as_of_an_older_release(project: Path) -> None:
    """Let the archive of a version alone have its schema."""
    for path in (project / ".mlops/s3").rglob("Evaluate/evaluation/schema.json"):
        path.unlink()


def label(monitoring: Monitoring, lines: str) -> None:
    """Bring the labels of production: lines of an inference id and a value."""
    key = f"{SLUG}/ground-truth/production/labels.csv"
    monitoring.upload("DataBucket", key, f"inference_id,{SCHEMA.target}\n{lines}".encode())


def judged(monitoring: Monitoring, record: CallRecord) -> list[str]:
    """What the role of the functions lacks for the calls that were made as it, or has too much."""
    calls = [call for call in record.calls() if call.role == monitoring.role("monf")]
    groups = (f"/aws/lambda/{function}" for function in FUNCTIONS)
    return monitoring.judged("monf", [*needs(calls, keys(monitoring.account)), *monitoring.logs(*groups)])


@pytest.fixture(scope="module")
def trained(rendering: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / SLUG
    return with_version(Path(shutil.copytree(rendering(project_slug=SLUG), folder)))


@pytest.fixture
def served(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that project, whose server runs."""
    project = give(Path(shutil.copytree(trained, tmp_path / SLUG, symlinks=True)))
    mlops(project, "serve", "--detach", "--port", "0")
    yield project
    mlops(project, "serve", "--stop")


def observability(monitoring: Monitoring, environment: str) -> Stack:
    """Deploy what watches an environment."""
    template = parse(texts(METRIC_BASED)["observability"])
    values = {**VALUES, **monitoring.values, "EnvironmentName": environment}
    parameters = {key: values[key] for key in template.data["Parameters"] if key in values}
    stack = Stack(NAMES.stack("observability", environment), template, parameters)
    deploy.put(monitoring.account, stack)
    return stack


def endpoint(monitoring: Monitoring, package: str) -> str:
    """Deploy the asynchronous endpoint of production; return the topic that announces its responses."""
    monitoring.account.grow()
    template = parse(texts({**METRIC_BASED, "inference": "async"})["endpoint"])
    values = {
        **VALUES,
        **monitoring.values,
        "EnvironmentName": "production",
        "ModelPackageArn": package,
        "Attempt": "1",
    }
    parameters = {key: values[key] for key in template.data["Parameters"] if key in values}
    stack = Stack(NAMES.stack("endpoint", "production"), template, parameters)
    deploy.put(monitoring.account, stack)
    return deploy.outputs(monitoring.account, stack.name)["AnsweredTopicArn"]


def submitted(monitoring: Monitoring, project: Path, patch: pytest.MonkeyPatch) -> Definition:
    """Create the pipeline as `upsert` does, and return its definition as SageMaker has it."""
    monitoring.account.enter(patch)
    target = Target(Project(project), "dev")
    submission.look_up(target)
    assert pipelines.submitted(target) == [pipelines.TRAINING, pipelines.MONITORING]
    submission.submit(target, pipelines.MONITORING)
    pipeline = monitoring.account.client("sagemaker").describe_pipeline(PipelineName=PIPELINE)
    assert pipeline["RoleArn"] == monitoring.values["MonitoringRoleArn"]
    return Definition.from_text(pipeline["PipelineDefinition"])


def test_the_stacks_are_deployed_changed_by_nothing_and_deleted(monitoring: Monitoring) -> None:
    stacks = [monitoring.stacks["monitoring"], *(observability(monitoring, name) for name in ("staging", "production"))]
    assert deploy.findings(monitoring.account, stacks) == []


def test_the_schedule_starts_the_pipeline_for_its_environment(monitoring: Monitoring) -> None:
    observability(monitoring, "staging")
    group = f"{SLUG}-staging-monitoring"
    schedule = monitoring.account.client("scheduler").get_schedule(GroupName=group, Name=group)
    target = schedule["Target"]
    assert target["Arn"] == f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/{PIPELINE}"
    assert target["RoleArn"] == monitoring.values["MonitoringScheduleRoleArn"]
    given = {each["Name"]: each["Value"] for each in target["SageMakerPipelineParameters"]["PipelineParameterList"]}
    assert given["EnvironmentName"] == "staging"


@pytest.mark.slow
def test_what_the_schedule_sets_are_parameters_of_the_pipeline(
    monitoring: Monitoring, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = submitted(monitoring, trained, monkeypatch)
    observability(monitoring, "production")
    name = f"{SLUG}-production-monitoring"
    target = monitoring.account.client("scheduler").get_schedule(GroupName=name, Name=name)["Target"]
    listed = target["SageMakerPipelineParameters"]["PipelineParameterList"]
    values = definition.values({each["Name"]: each["Value"] for each in listed})
    assert (values["EnvironmentName"], values["MaxDistance"], values["MinRows"]) == ("production", 0.1, 100)


@pytest.mark.slow
def test_drifted_traffic_is_found_by_the_pipeline_and_requires_a_retraining(
    monitoring: Monitoring, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: CallRecord
) -> None:
    mlops(served, "traffic", "--rows", "600", "--seed", "1", "--drift", "1.0")
    mlops(served, "serve", "--stop")
    as_of_an_older_release(served)
    definition = submitted(monitoring, served, monkeypatch)
    monitoring.go_live(monitoring.register(served))
    monitoring.capture(served)
    window = until_now()
    answer = monitoring.execute(definition, tmp_path / "0123456789ab", EnvironmentName="production", **window)
    folder = answer["report"].rpartition("/")[0]
    found = monitoring.document(f"{folder}/window.json")
    assert found["live"] == 1
    assert (found["versions"]["1"]["rows"], found["versions"]["1"]["drift"]) == (600, True)
    metrics = monitoring.metrics()
    assert (metrics["Rows"], metrics["Drift"], metrics["DataQualityViolations"]) == (600, 1, 0)
    assert (metrics["RetrainingDue"], metrics["WindowsEvaluated"]) == (1, 1)
    assert monitoring.metrics("staging") == {}
    assert monitoring.document(f"{folder.rsplit('/', 2)[0]}/last-window.json") == {"end": window["WindowEnd"]}
    report = monitoring.account.client("s3").get_object(
        Bucket=monitoring.values["DataBucket"], Key=answer["report"].split("/", 3)[3]
    )
    assert b"Version 1" in report["Body"].read()
    assert judged(monitoring, record) == []
    time.sleep(1)  # a window has whole seconds
    asked = ("--since", SINCE, "--until", f"{datetime.now(UTC):%FT%TZ}")
    here = mlops_json(served, "monitor", "--environment", "production", *asked)  # a person with rights compares it, too
    assert here["versions"]["1"] == found["versions"]["1"]


@pytest.mark.slow
def test_drift_of_what_a_transform_job_predicted_is_found_by_the_pipeline(
    of_batches: Monitoring, rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: CallRecord
) -> None:
    rendered = rendering(project_slug=SLUG, inference="batch")
    trained = with_version(Path(shutil.copytree(rendered, tmp_path / SLUG)))
    as_of_an_older_release(trained)
    rows = tmp_path / "drifted.csv"
    drawn = synthetic.resample(dataset.read_typed(trained / "data/raw", SCHEMA), SCHEMA, 600, seed=1, drift=1.0)
    arrow_csv.write_csv(drawn.select(list(SCHEMA.feature_names)), rows)
    mlops(trained, "batch", str(rows), "--output", str(tmp_path / "predicted"))
    definition = submitted(of_batches, trained, monkeypatch)
    of_batches.go_live(of_batches.register(trained))
    of_batches.predict(rows, tmp_path / "predicted/drifted.csv.out")
    labels = "".join(f"{SLUG}/batch/drifted.csv,{value.as_py():d}\n" for value in drawn[SCHEMA.target])
    label(of_batches, labels)
    answer = of_batches.execute(
        definition, tmp_path / "0123456789ab", EnvironmentName="production", LabelDelayHours="0", **until_now()
    )
    found = of_batches.document(f"{answer['report'].rpartition('/')[0]}/window.json")["versions"]["1"]
    assert (found["rows"], found["records"], found["drift"]) == (600, 1, True)
    assert (found["model_quality"]["rows"], found["damaged_at"]) == (
        600, [f"s3://{of_batches.values['DataBucket']}/{SLUG}/batch/failed.csv: it has no output"],
    )  # fmt: skip
    metrics = of_batches.metrics()
    assert (metrics["Rows"], metrics["LabelledRows"], metrics["Drift"], metrics["RetrainingDue"]) == (600, 600, 1, 1)
    assert judged(of_batches, record) == []


@pytest.mark.nightly
def test_drift_and_quality_of_what_an_asynchronous_endpoint_answered_are_found_by_the_pipeline(
    asynchronous: Monitoring, rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: CallRecord
) -> None:
    rendered = rendering(project_slug=SLUG, inference="async")
    trained = with_version(Path(shutil.copytree(rendered, tmp_path / SLUG)))
    as_of_an_older_release(trained)
    mlops(trained, "serve", "--detach", "--port", "0")
    mlops(trained, "traffic", "--rows", "300", "--seed", "1", "--drift", "1.0")
    mlops(trained, "serve", "--stop")
    definition = submitted(asynchronous, trained, monkeypatch)
    package = asynchronous.register(trained)
    asynchronous.go_live(package)
    notices = asynchronous.answer(trained)
    asynchronous.announce(notices, endpoint(asynchronous, package))
    ids = [notice["inferenceId"] for notice in notices]
    labels = "".join(f"{one},{number % 2}\n" for number, one in enumerate(ids))
    label(asynchronous, labels)
    asynchronous.account.client("s3").delete_object(
        Bucket=asynchronous.values["CaptureBucket"], Key=f"{SLUG}/async/production/requests/{ids[0]}"
    )
    answer = asynchronous.execute(
        definition, tmp_path / "0123456789ab", EnvironmentName="production", LabelDelayHours="0", **until_now()
    )
    found = asynchronous.document(f"{answer['report'].rpartition('/')[0]}/window.json")["versions"]["1"]
    assert (found["records"], found["drift"], found["model_quality"]["rows"]) == (len(ids) - 1, True, found["rows"])
    folder = f"s3://{asynchronous.values['CaptureBucket']}/{SLUG}/async/production"
    assert found["damaged_at"] == [f"{folder}/requests/{ids[0]}: it does not exist"]
    metrics = asynchronous.metrics()
    assert (metrics["Drift"], metrics["LabelledRows"], metrics["RetrainingDue"]) == (1, found["rows"], 1)
    assert judged(asynchronous, record) == []


def test_an_alarm_of_production_retrains_once_however_often_its_event_comes(monitoring: Monitoring) -> None:
    project = Retraining(monitoring.account, monitoring.stacks, monitoring.values)
    project.upsert()
    project.upload("january.csv")
    event = alarm_rings(f"{SLUG}-production-retraining-due")
    assert project.announce(event, event) == 2
    project.decide()
    [parameters] = project.executions().values()
    assert parameters["RunReason"] == f"drift: alarm {SLUG}-production-retraining-due"
    project.announce(project.end("Succeeded"))
    project.decide()
    assert project.announce({**event, "id": "another"}) == 1  # it rings again, for the same data
    project.decide()
    assert len(project.executions()) == 1
    assert project.decisions()[-1][1:] == ("refused", "no new data since version 1")


@pytest.mark.parametrize("name", [f"{SLUG}-staging-retraining-due", f"{SLUG}-production-drift", "others"])
def test_other_alarms_retrain_nothing(monitoring: Monitoring, name: str) -> None:
    assert deliver(monitoring.account, alarm_rings(name)) == []


def test_the_end_of_an_alarm_retrains_nothing(monitoring: Monitoring) -> None:
    event = alarm_rings(f"{SLUG}-production-retraining-due")
    event["detail"]["state"]["value"] = "OK"
    assert deliver(monitoring.account, event) == []


def test_a_window_without_traffic_alarms_nothing_but_says_that_monitoring_ran(
    monitoring: Monitoring, tmp_path: Path
) -> None:
    event = {
        "project_name": "Visits",
        "environment": "production",
        "execution": "0123456789ab",
        "started": "2026-11-20T06:00:00.000Z",
        "start": "auto",
        "end": "auto",
        "label_delay_hours": 24.0,
    }
    answer, error = invoke(monitoring.account, FUNCTIONS[0], event)
    assert error == ""
    window = monitoring.document(f"{answer['window']}window.json")
    assert (window["start"], window["end"]) == (None, "2026-11-20T05:45:00Z")
    assert (window["live"], window["labels"]) == (None, {"start": None, "end": "2026-11-19T05:45:00Z"})
    for name in ("captured", "batch_input", "ground_truth"):
        first, *listed = monitoring.document(answer[name])
        assert [first["prefix"] + one for one in listed] == [answer[name]]  # SageMaker refuses one without objects
    report = {"enough_rows": False, "end": window["end"]}
    prefix = f"{SLUG}/monitoring/production/0123456789ab/report"
    monitoring.upload("DataBucket", f"{prefix}/window.json", json.dumps(report).encode())
    monitoring.upload("DataBucket", f"{prefix}/metrics.json", b'{"Rows": 0, "Requests": 0, "UnreadableRecords": 0}')
    uri = f"s3://{monitoring.values['DataBucket']}/{prefix}"
    ended = {"environment": "production", "report": uri, "start": "auto", "end": "auto"}
    assert invoke(monitoring.account, FUNCTIONS[1], ended) == ({"report": f"{uri}/report.html"}, "")
    assert monitoring.metrics() == {"Rows": 0, "Requests": 0, "UnreadableRecords": 0, "WindowsEvaluated": 1}


def test_a_version_without_a_baseline_fails_the_run_by_name(monitoring: Monitoring) -> None:
    package = Retraining(monitoring.account, monitoring.stacks, monitoring.values).register("0123")
    monitoring.go_live(package)
    key = f"{SLUG}/capture/1/{SLUG}-production/AllTraffic/2026/11/20/05/01-01-001-x.jsonl"
    monitoring.upload("CaptureBucket", key, b"{}\n")
    event = {
        "project_name": "Visits",
        "environment": "production",
        "execution": "0123456789ab",
        "started": "2026-11-20T06:00:00.000Z",
        "start": "2026-11-20T05:00:00Z",
        "end": "auto",
        "label_delay_hours": 0,
    }
    _, error = invoke(monitoring.account, FUNCTIONS[0], event)
    assert "Version 1 was registered without a baseline" in error


def place(stacks: Monitoring | Part) -> dict[str, str]:
    return {"region": REGION, "account": stacks.account.id}


def of_pipeline(stacks: Monitoring | Part, inference: str = "realtime") -> list[Need]:
    data, captured, key = (stacks.values[name] for name in ("DataBucket", "CaptureBucket", "DataKeyArn"))
    role = stacks.role("mon")
    found = [
        *service_needs("sagemaker pipeline processing jobs", **place(stacks)),
        *service_needs("sagemaker pipeline passes", role=role),
        *(
            need
            for name in FUNCTIONS
            for need in service_needs("sagemaker pipeline function", **place(stacks), function=name)
        ),
        *service_needs("sagemaker job logs", **place(stacks), log_group="/aws/sagemaker/ProcessingJobs"),
        *service_needs("sagemaker metrics", kind="ProcessingJobs"),
        *service_needs("sagemaker job output", bucket=data, prefix=f"{SLUG}/monitoring/"),
        *service_needs("volume encryption", key=key),
        *service_needs("job output key", key=key),
        *service_needs("object encryption", region=REGION, key=key),
        *service_needs("object encryption", region=REGION, key=stacks.values["WorkloadKeyArn"]),
        *service_needs("sagemaker image", region=REGION, account="141502667606", repository="sagemaker-xgboost"),
    ]
    asked = ("batch",) if inference == "batch" else ()
    answered = asked if inference != "async" else ("async/production/requests", "async/production/answers")
    for bucket, folders in (
        (data, ("code", "ground-truth", "monitoring", *asked)),
        (captured, ("capture", "monitoring", *answered)),
    ):
        for folder in folders:
            found += service_needs("sagemaker job input", bucket=bucket, prefix=f"{SLUG}/{folder}/")
    return found


def of_schedules(stacks: Monitoring | Part, environments: tuple[str, ...] = ("staging", "production")) -> list[Need]:
    found = list(service_needs("start sagemaker pipeline", **place(stacks), pipeline=PIPELINE))
    for environment in environments:
        queue = f"{SLUG}-{environment}-monitoring-undelivered"
        found += service_needs("scheduler dead letters", **place(stacks), queue=queue)
    key = stacks.values["WorkloadKeyArn"]
    return [*found, *service_needs("scheduler dead letters encryption", region=REGION, key=key)]


def test_the_pipeline_and_its_jobs_may_do_what_they_need_and_nothing_more(monitoring: Monitoring) -> None:
    assert monitoring.judged("mon", of_pipeline(monitoring)) == []


def test_the_jobs_may_read_what_transform_jobs_predicted(of_batches: Monitoring) -> None:
    assert of_batches.judged("mon", of_pipeline(of_batches, "batch")) == []


def test_the_jobs_may_read_what_an_asynchronous_endpoint_answered(asynchronous: Monitoring) -> None:
    assert asynchronous.judged("mon", of_pipeline(asynchronous, "async")) == []


def test_the_schedules_may_start_the_pipeline_and_nothing_more(monitoring: Monitoring) -> None:
    assert monitoring.judged("msched", of_schedules(monitoring)) == []
