"""Captured data of staging and production, copied to the account of the data where the configuration says so."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyarrow import csv as arrow_csv

from mlops.base.errors import MlopsError
from mlops.deployment.deploy import Deployment, DeployRequest
from mlops.project.project import Project
from mlops.project.stacks import ACCOUNTS, DATA_LAKE
from mlops.project.target import Target
from model.schema import SCHEMA
from modelkit import dataset, synthetic
from standin.account import REGION, Cloud
from standin.attached import resource_policies
from standin.calls import CallRecord
from standin.reach import Walk
from standin.replication import needs, rules_of
from standin.template import parse, resolve
from tests.answers import label, rest_at_night
from tests.infra import organization, several_accounts
from tests.infra.monitoring import Monitoring
from tests.infra.rendered import SLUG, texts
from tests.infra.several_accounts import Part
from tests.projects import Bake, mlops, mlops_json

MEDIUM = {"team_size": "medium"}
ANSWERS: list[dict[str, str]] = [
    MEDIUM,
    {"account_layout": "multi", "inference": "batch", "framework": "pytorch"},
    {"account_layout": "multi", "inference": "async", "training_image": "custom"},
    {"team_size": "medium", "project_scope": "deploy"},
    {"team_size": "large"},
]
each_answer = pytest.mark.parametrize("answers", rest_at_night(ANSWERS, 2), ids=label)
of_medium = pytest.mark.parametrize("answers", [MEDIUM], ids=label)
SETTING = "copy_captured_data"
REQUESTS = {"async": ["async"], "batch": ["batch", "capture"]}
RESULTS = ["ground-truth", "monitoring"]


class Copied:
    """A project in its accounts, of which one environment or all copy what they capture."""

    def __init__(self, project: Path, parts: Mapping[str, Part], answers: Mapping[str, str]) -> None:
        self.project = project
        self.parts = parts
        inference = answers.get("inference", "realtime")
        self.folders = {
            "CaptureBucket": REQUESTS.get(inference, ["capture"]),
            "DataBucket": [*(["batch"] if inference == "batch" else []), *RESULTS],
        }
        layout = Project(project).layout
        self.lake = parts[ACCOUNTS[layout][DATA_LAKE]]

    def configure(self, file: str, text: str) -> None:
        """Say in a file of the configuration whether to copy."""
        path = self.project / f"config/{file}.yaml"
        kept = [line for line in path.read_text().splitlines() if not line.startswith(SETTING)]
        path.write_text("\n".join([*kept, f"{SETTING}: {text}"]) + "\n")

    def deploy(self) -> None:
        """Deploy the stacks with buckets."""
        request = DeployRequest(["data", "workload"])
        Deployment(Target(Project(self.project), "dev"), request, lambda _: None, lambda _: None).run()
        self.parts = {name: Part.of(part.account, SLUG) for name, part in self.parts.items()}

    def put(self, name: str) -> set[str]:
        """Write objects to all folders of the buckets of an environment, and of no other; the keys of those to copy."""
        part, written = self.parts[name], set()
        for output, folders in self.folders.items():
            for folder in [*folders, "functions"]:
                key = f"{SLUG}/{folder}/{name}-{output}.jsonl"
                part.account.client("s3").put_object(Bucket=part.values[output], Key=key, Body=name.encode())
                written |= {key} if folder in folders else set()
        return written

    def found(self) -> set[str]:
        """The keys of what was written by `put` and is in the account of the data."""
        pages = self.lake.account.client("s3").list_objects_v2(Bucket=self.lake.values["DataBucket"])
        return {one["Key"] for one in pages.get("Contents", []) if one["Key"].endswith("Bucket.jsonl")}


@pytest.fixture
def copied(
    cloud: Cloud, rendering: Bake, tmp_path: Path, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Copied:
    """The project in its accounts, as generated: nothing is copied."""
    if answers == {"team_size": "large"}:
        project = organization.filled_in(rendering(project_slug=SLUG, **answers), tmp_path)
        return Copied(project, organization.deployed(cloud, project, monkeypatch, answers), answers)
    installed = several_accounts.deployed(cloud, rendering, tmp_path, monkeypatch, answers)
    return Copied(installed.project, installed.parts, answers)


@each_answer
def test_what_an_environment_captures_stays_there_until_it_is_to_be_copied(
    copied: Copied, answers: dict[str, str]
) -> None:
    copied.put("production")
    assert copied.found() == set()
    copied.configure("base", "true")
    copied.deploy()
    written = copied.put("staging") | copied.put("production")
    assert copied.found() == written
    objects = copied.lake.account.client("s3")
    for key in written:
        read = objects.get_object(Bucket=copied.lake.values["DataBucket"], Key=key)
        assert read["SSEKMSKeyId"] == copied.lake.values["DataKeyArn"]
    copied.configure("base", "false")
    copied.deploy()
    copied.configure("base", "true")  # what is only written here is not deployed
    copied.put("staging")
    assert copied.found() == written
    assert {role for part in copied.parts.values() for role in part.roles() if role.endswith("-copy")} == set()


@of_medium
def test_one_environment_may_copy_and_the_other_not(copied: Copied, answers: dict[str, str]) -> None:
    copied.configure("staging", "true")
    copied.deploy()
    written = copied.put("staging")
    copied.put("production")
    assert copied.found() == written


@each_answer
def test_the_role_that_copies_may_do_what_it_needs_and_nothing_more(copied: Copied, answers: dict[str, str]) -> None:
    copied.configure("base", "true")
    copied.deploy()
    resources = resource_policies()
    for name in ("staging", "production"):
        part = copied.parts[name]
        wanted = {
            (need.action, need.resource, *need.context.items()): need
            for output, folders in copied.folders.items()
            for rule in rules_of(part.account.id, part.values[output])
            for folder in folders
            if rule["ID"] == folder
            for need in needs(resources, part.values[output], rule, f"{SLUG}/{folder}/one")
        }
        assert "\n".join(part.judged("copy", list(wanted.values()))) == "", name
        reached = {one.resource for one in Walk(resources).openings(part.role("copy"))}
        lake = copied.lake.values
        assert {f"arn:aws:s3:::{lake['DataBucket']}", lake["DataKeyArn"]} <= reached
        other = part.role("host")
        assert f"arn:aws:s3:::{lake['DataBucket']}" not in {one.resource for one in Walk(resources).openings(other)}


@each_answer
def test_what_cannot_be_copied_is_counted_where_the_alarm_looks(copied: Copied, answers: dict[str, str]) -> None:
    copied.configure("base", "true")
    copied.deploy()
    lake, production = copied.lake, copied.parts["production"]
    lake.account.client("s3").delete_bucket_policy(Bucket=lake.values["DataBucket"])
    copied.put("production")
    assert copied.found() == set()
    metrics = production.account.client("cloudwatch").list_metrics(Namespace="AWS/S3")["Metrics"]
    counted = [one for one in metrics if one["MetricName"] == "OperationsFailedReplication"]
    failed = {json.dumps(one["Dimensions"], sort_keys=True) for one in counted}
    parsed = parse(texts(answers)["observability"])
    given = {
        "AWS::Region": REGION, "AWS::AccountId": production.account.id, "AWS::Partition": "aws", "ProjectName": SLUG,
        "ProjectId": production.names.id, "EnvironmentName": "production", "CopyBucket": lake.values["DataBucket"],
    }  # fmt: skip
    unknown = {name: f"any-{name}" for name in parsed.data["Parameters"]}
    alarm = resolve(parsed, {**unknown, **given}).data["Resources"]["NotCopied"]["Properties"]
    watched = [one["MetricStat"]["Metric"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert {(one["Namespace"], one["MetricName"]) for one in watched} == {("AWS/S3", "OperationsFailedReplication")}
    assert {json.dumps(one["Dimensions"], sort_keys=True) for one in watched} == failed


@of_medium
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda copied: copied.configure("base", "sometimes"), '`copy_captured_data: "sometimes"`'),
        (lambda copied: copied.configure("dev", "true"), "`copy_captured_data`"),
    ],
    ids=["no flag", "where nothing is captured"],
)
def test_a_value_that_says_nothing_is_refused(
    copied: Copied, answers: dict[str, str], change: Callable[[Copied], None], said: str
) -> None:
    change(copied)
    with pytest.raises(MlopsError, match=said):
        copied.deploy()


def served(project: Path) -> None:
    """Let the project's server capture drifted requests on this machine."""
    mlops(project, "serve", "--detach", "--port", "0")
    mlops(project, "traffic", "--rows", "120", "--seed", "1", "--drift", "1.0")
    mlops(project, "serve", "--stop")


def captured(project: Path, production: Monitoring, answers: Mapping[str, str]) -> None:
    """Let production have captured drifted requests, in the way of its inference."""
    if answers.get("inference") == "batch":
        rows = project.parent / "drifted.csv"
        drawn = synthetic.resample(dataset.read_typed(project / "data/raw", SCHEMA), SCHEMA, 120, seed=1, drift=1.0)
        arrow_csv.write_csv(drawn.select(list(SCHEMA.feature_names)), rows)
        mlops(project, "batch", str(rows), "--output", str(project.parent / "predicted"))
        production.predict(rows, project.parent / "predicted/drifted.csv.out")
        return
    served(project)
    if answers.get("inference") == "async":
        lines = "".join(f"{json.dumps(notice)}\n" for notice in production.answer(project)).encode()
        hour = datetime.now(UTC)
        production.upload("CaptureBucket", f"{SLUG}/async/production/notices/{hour:%Y/%m/%d/%H}/one.jsonl", lines)
    else:
        production.capture(project)
    shutil.rmtree(project / f".mlops/s3/local-bucket/{SLUG}/capture")


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers",
    rest_at_night([MEDIUM, *({"account_layout": "multi", "inference": inference} for inference in ("async", "batch"))]),
    ids=label,
)
def test_a_data_scientist_who_may_not_enter_production_compares_a_window_of_it(
    copied: Copied, record: CallRecord, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]
) -> None:
    project, dev = copied.project, copied.parts["dev"]
    copied.configure("base", "true")
    copied.deploy()
    mlops(project, "run")
    mlops(project, "approve", "latest")
    registry = Monitoring(dev.account, {}, dev.values)
    registry.go_live(registry.register(project))
    captured(project, Monitoring(copied.parts["production"].account, {}, copied.parts["production"].values), answers)
    dev.account.enter(monkeypatch, dev.role("ds"))
    for name, value in record.environment(dev.role("ds")).items():
        monkeypatch.setenv(name, value)
    before = tree(project / ".mlops/s3")
    time.sleep(1)  # a window has whole seconds
    window = ("--since", "2020-01-01T00:00:00Z", "--until", f"{datetime.now(UTC):%FT%TZ}")
    found = mlops_json(project, "monitor", "--environment", "production", *window)
    assert found["environment"] == "production"
    assert (found["live"], found["versions"]["1"]["rows"], found["versions"]["1"]["drift"]) == (1, 120, True)
    report = Path(found["report"])
    assert "production" in report.read_text()
    assert {path for path in tree(project / ".mlops/s3") - before if report.parent.parent not in path.parents} == set()
    resources, role = resource_policies(), dev.role("ds")
    calls = [call for call in record.calls() if call.role == role]
    assert calls
    denied = [need for need in resources.needs(calls) if not resources.allow(role, dev.policies("ds"), need)]
    assert denied == []


def tree(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@of_medium
def test_a_window_that_cannot_be_compared_here_says_why(
    copied: Copied, answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.parts["dev"].account.enter(monkeypatch)

    def said(*arguments: str) -> str:
        ended = mlops(copied.project, "monitor", *arguments, check=False)
        assert ended.returncode == 2
        return ended.stderr

    closed = said("--environment", "production")
    assert "The requests of production stay in its account: `copy_captured_data` is false in config/base.yaml" in closed
    assert "deploy --environment dev" in closed
    assert "No requests are captured in dev" in said("--environment", "dev")
    assert "retrain --environment dev" in said("--environment", "production", "--retrain")
