"""How an update of an endpoint ends, by scripts and an injected clock; and versions in the shadow."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from mlops.base.errors import MlopsError
from mlops.deployment.cloudformation import StackService
from mlops.deployment.deploy import Deployment, DeployRequest, Report
from mlops.deployment.rollout import PACKAGE, Rollout
from mlops.deployment.templates import Template
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.project.account import Account
from mlops.project.project import Project
from mlops.project.target import Target
from standin.account import StandInAccount
from standin.gaps import ring_in_next_update
from standin.scripted import Clock, Refusal, Script
from tests.machinery.deployment.deploying import Shell, shell
from tests.machinery.deployment.small_project import ACCOUNT, ENDPOINT, GROUP, NAMES, REGION, SLUG, register

STACK, ROLE = "visits-staging-endpoint", f"arn:aws:iam::{ACCOUNT}:role/deploy"
CONFIG = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/new"
NOW = datetime.now(UTC)


def endpoint(status: str, config: str = "old", **more: str) -> dict[str, Any]:
    return {"EndpointStatus": status, "EndpointConfigName": config, "LastModifiedTime": NOW, **more}


def stack(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": STACK, "StackStatus": status, "CreationTime": NOW}]}


def resource(logical: str, type_: str, physical: str) -> dict[str, Any]:
    names = {"LogicalResourceId": logical, "PhysicalResourceId": physical, "ResourceType": type_}
    return {**names, "ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": NOW}


def alarms(**states: str) -> dict[str, Any]:
    return {"MetricAlarms": [{"AlarmName": name, "StateValue": state} for name, state in states.items()]}


RESOURCES = {
    "StackResourceSummaries": [
        resource("EndpointConfig", "AWS::SageMaker::EndpointConfig", CONFIG),
        resource("Errors", "AWS::CloudWatch::Alarm", "errors"),
        resource("Backlog", "AWS::CloudWatch::Alarm", "backlog"),
    ]
}
EVENTS = {
    "StackEvents": [
        {
            "StackId": STACK,
            "EventId": "1",
            "StackName": STACK,
            "LogicalResourceId": "Endpoint",
            "PhysicalResourceId": "visits-staging",
            "ResourceType": "AWS::SageMaker::Endpoint",
            "Timestamp": NOW,
            "ResourceStatus": "UPDATE_FAILED",
            "ResourceStatusReason": "Alarm(s) went off during deployment",
        }
    ]
}


class Rolling:
    """A rollout that a script answers."""

    def __init__(self, **timelines: Any) -> None:
        self.clock = Clock()
        defaults: dict[str, Any] = {
            "DescribeStacks": [(0, stack("CREATE_COMPLETE")), (60, stack("UPDATE_COMPLETE"))],
            "CreateChangeSet": {"Id": "arn:change-set"},
            "DescribeChangeSet": {"Status": "CREATE_COMPLETE", "Changes": []},
            "ExecuteChangeSet": {},
            "DeleteChangeSet": {},
            "DescribeStackEvents": EVENTS,
            "ListStackResources": RESOURCES,
            "DescribeAlarms": alarms(errors="OK"),
            "DescribeEndpointConfig": Refusal("ValidationException", "Could not find endpoint configuration"),
            "DescribeEndpoint": [(0, endpoint("InService")), (60, endpoint("InService", "new"))],
        }
        answers = {
            name: one if isinstance(one, list) else [(0, one)] for name, one in {**defaults, **timelines}.items()
        }
        self.script = Script(self.clock, answers)
        account = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")
        for service in ("cloudformation", "sagemaker", "cloudwatch"):
            account.__dict__[service] = self.script.client(service)
        self.endpoint = AwsEndpoint(account, NAMES, "staging", queued=False, clock=self.clock)
        self.service = StackService(account, SLUG, lambda _: None, self.clock)
        events = account.cloudformation.meta.events
        events.register_first("before-call.cloudformation.ExecuteChangeSet", lambda **_: self.clock.sleep(60))

    def run(self, **values: str) -> str:
        template = Template.parse(ENDPOINT.replace("SHADOW", ""))
        rollout = Rollout(self.endpoint, self.service, STACK, template, ROLE, lambda _: None, None)
        return rollout.run({PACKAGE: f"{GROUP}/2", **values}, f"{GROUP}/1").outcome

    def executed(self) -> bool:
        return any(operation == "ExecuteChangeSet" for operation, _ in self.script.asked)


def test_in_service_on_the_wanted_configuration_is_deployed() -> None:
    assert Rolling().run() == "updated"


def test_an_endpoint_that_still_updates_is_waited_for_before_it_is_touched() -> None:
    rolling = Rolling(
        DescribeEndpoint=[(0, endpoint("Updating")), (600, endpoint("InService")), (660, endpoint("InService", "new"))]
    )
    assert rolling.run() == "updated"
    begun = [operation for operation, _ in rolling.script.asked].index("ExecuteChangeSet")
    looks = [operation for operation, _ in rolling.script.asked[:begun]].count("DescribeEndpoint")
    assert looks == 600 / 5 + 2, "and once more when it has been confirmed"
    assert rolling.clock.now == 660


def test_in_service_on_the_old_configuration_is_rolled_back_and_no_success() -> None:
    rolling = Rolling(
        DescribeEndpoint=[
            (0, endpoint("InService")),
            (60, endpoint("Updating")),
            (120, endpoint("RollingBack")),
            (180, endpoint("InService", "old")),
        ],
        DescribeAlarms=[(0, alarms(errors="OK")), (100, alarms(errors="ALARM"))],
    )
    with pytest.raises(MlopsError) as caught:
        rolling.run()
    assert caught.value.message == (
        "Endpoint visits-staging was rolled back to its previous configuration: it is InService on old, "
        "not on new. Alarm errors is in ALARM."
    )


def test_a_stack_that_was_rolled_back_says_why_and_which_alarm_is_in_alarm() -> None:
    rolling = Rolling(
        DescribeStacks=[(0, stack("CREATE_COMPLETE")), (60, stack("UPDATE_ROLLBACK_COMPLETE"))],
        DescribeEndpoint=endpoint("InService"),
        DescribeAlarms=[(0, alarms(errors="OK")), (60, alarms(errors="ALARM", backlog="ALARM"))],
    )
    with pytest.raises(MlopsError) as caught:
        rolling.run()
    assert "visits-staging was rolled back to its previous configuration" in caught.value.message
    assert "Endpoint (AWS::SageMaker::Endpoint): Alarm(s) went off during deployment" in caught.value.message
    assert "Alarms backlog and errors are in ALARM." in caught.value.message


def test_a_failed_endpoint_gives_its_reason() -> None:
    failed = endpoint("Failed", "new", FailureReason="The container did not answer the ping.")
    rolling = Rolling(DescribeEndpoint=[(0, endpoint("InService")), (60, endpoint("Updating", "new")), (90, failed)])
    with pytest.raises(MlopsError, match="visits-staging is Failed: The container did not answer the ping"):
        rolling.run()


def test_an_endpoint_that_failed_before_is_not_touched() -> None:
    rolling = Rolling(DescribeEndpoint=endpoint("Failed", FailureReason="No capacity."))
    with pytest.raises(MlopsError, match=r"visits-staging failed and cannot be updated: No capacity.") as caught:
        rolling.run()
    assert "destroy --environment staging --stack endpoint" in caught.value.remedy
    assert not rolling.executed()


def test_an_alarm_in_alarm_is_named_and_nothing_is_touched_and_no_change_set_is_left() -> None:
    rolling = Rolling(DescribeAlarms=alarms(errors="ALARM"))
    with pytest.raises(MlopsError, match=r"Alarm errors is in ALARM\. An update of endpoint visits-staging would"):
        rolling.run()
    assert not rolling.executed()
    assert "DeleteChangeSet" in [operation for operation, _ in rolling.script.asked]


def test_a_cure_asks_no_alarm() -> None:
    assert Rolling(DescribeAlarms=alarms(errors="ALARM")).run(RollbackOnAlarm="false") == "updated"


REMOVE, UPDATE, WAIT = "destroy --environment staging --stack endpoint", "deploy --environment staging", ""
STATES = {
    "OutOfService": UPDATE,
    "Creating": WAIT,
    "Updating": WAIT,
    "SystemUpdating": WAIT,
    "RollingBack": WAIT,
    "InService": UPDATE,
    "Deleting": WAIT,
    "Failed": REMOVE,
    "UpdateRollbackFailed": UPDATE,
}
"""Every state of an endpoint, and what gets one out of it; DeleteEndpoint is all that a failed one takes.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""
EVERY_STATE = boto3.client("sagemaker", REGION).meta.service_model.shape_for("EndpointStatus").enum


@pytest.mark.parametrize("state", EVERY_STATE)
def test_no_state_but_in_service_on_the_wanted_configuration_is_success(state: str) -> None:
    remedy = STATES[state]
    later = [(600, endpoint("InService", "new"))] if remedy == WAIT else []
    rolling = Rolling(DescribeEndpoint=[(0, endpoint(state)), *later])
    if remedy == WAIT:
        rolling.endpoint.require("New", [])
        assert rolling.clock.now == 600
        return
    with pytest.raises(MlopsError) as caught:
        rolling.endpoint.require("new", [])
    assert (REMOVE in caught.value.remedy) == (remedy == REMOVE)
    assert "deploy" in caught.value.remedy


@pytest.mark.parametrize("state", EVERY_STATE)
def test_an_endpoint_is_updated_in_every_state_that_an_update_gets_it_out_of(state: str) -> None:
    rolling = Rolling(DescribeEndpoint=[(0, endpoint(state)), (600, endpoint("InService"))])
    if STATES[state] == REMOVE:
        with pytest.raises(MlopsError):
            rolling.endpoint.require_updatable([])
    else:
        rolling.endpoint.require_updatable([])
    assert rolling.clock.now == (600 if STATES[state] == WAIT else 0)


@pytest.mark.parametrize("of_stack", ["UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_an_endpoint_of_both_versions_answers_on_and_nobody_is_told_to_remove_it(of_stack: str) -> None:
    rolling = Rolling(
        DescribeStacks=[(0, stack("CREATE_COMPLETE")), (60, stack(of_stack))],
        DescribeEndpoint=[(0, endpoint("InService")), (60, endpoint("UpdateRollbackFailed", "new"))],
    )
    with pytest.raises(MlopsError) as caught:
        rolling.run()
    assert "some of its instances serve the previous version, others the new one" in caught.value.message
    assert caught.value.remedy.startswith("Do not delete it.")
    assert "deployment-guardrails-rolling.html" in caught.value.remedy


def test_credentials_that_expire_while_an_endpoint_updates_say_how_to_go_on() -> None:
    rolling = Rolling(
        DescribeEndpoint=[
            (0, endpoint("InService")),
            (60, endpoint("Updating")),
            (120, Refusal("ExpiredTokenException", "The security token included in the request is expired")),
        ]
    )
    with pytest.raises(MlopsError) as caught:
        rolling.run()
    assert "Run the same command again" in caught.value.remedy


class Watched(Clock):
    """A clock that does something when so many seconds have passed."""

    def __init__(self, at: float, then: Any) -> None:
        super().__init__()
        self.at, self.then = at, then

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.now >= self.at and self.then:
            then, self.then = self.then, None
            then()


@pytest.fixture
def staged(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A project whose version 1 is live in staging, and whose version 2 is approved."""
    run = shell(account, tmp_path / "project", capsys, monkeypatch)
    assert run("deploy", "--environment", "dev", "--yes") == 0
    register(account, "Approved", "Approved")
    assert run("deploy", "--environment", "staging", "--version", "1", "--yes") == 0, run.error
    return run


def served(account: StandInAccount) -> list[str]:
    """The packages of the models that the endpoint asks; it needs its configuration and its models for that."""
    sagemaker = account.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName="visits-staging")["EndpointConfigName"]
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    models = [sagemaker.describe_model(ModelName=variant["ModelName"]) for variant in variants]
    return [model["PrimaryContainer"]["ModelPackageName"] for model in models]


def kept(account: StandInAccount) -> tuple[int, int]:
    """How many endpoint configurations and models there are."""
    sagemaker = account.client("sagemaker")
    return len(sagemaker.list_endpoint_configs()["EndpointConfigs"]), len(sagemaker.list_models()["Models"])


def rolled_back(run: Shell) -> None:
    """Deploy version 2, whose update SageMaker rolls back and CloudFormation takes for success."""
    ring_in_next_update(ACCOUNT, REGION, "visits-staging")
    assert run("deploy", "--environment", "staging", "--yes") == 1
    assert "was rolled back to its previous configuration" in run.error
    stacks = run.account.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stacks[0]["StackStatus"] == "UPDATE_COMPLETE"


def test_what_was_served_before_is_deleted_once_its_successor_serves(staged: Shell) -> None:
    assert kept(staged.account) == (1, 1)
    assert staged("deploy", "--environment", "staging", "--yes") == 0, staged.error
    assert served(staged.account) == [staged.live("staging")] == [f"{GROUP}/2"]
    assert kept(staged.account) == (1, 1)


def test_a_rollback_that_the_stack_takes_for_success_leaves_live_and_whole_what_serves(staged: Shell) -> None:
    rolled_back(staged)
    assert served(staged.account) == [staged.live("staging")] == [f"{GROUP}/1"]


@pytest.mark.parametrize(("version", "leftovers"), [(1, {"endpoint-config", "model"}), (2, {"endpoint-config"})])
def test_after_a_rollback_the_same_version_can_be_deployed_again_and_the_one_before_too(
    staged: Shell, version: int, leftovers: set[str]
) -> None:
    rolled_back(staged)
    again = ("deploy", "--environment", "staging", "--version", str(version), "--yes")
    assert staged(*again) == 0, staged.error
    assert served(staged.account) == [staged.live("staging")] == [f"{GROUP}/{version}"]
    assert staged.json(*again)["stacks"][0]["outcome"] == "unchanged"
    removed = staged.json("destroy", "--environment", "staging", "--yes")
    never_served = [arn.rpartition("/")[0].rpartition(":")[2] for arn in removed["leftovers"]]
    assert (len(never_served), set(never_served)) == (len(leftovers), leftovers)
    assert kept(staged.account) == (0, 0)
    assert staged.live("staging") is None


def test_a_model_of_the_next_configuration_too_outlives_the_one_before(here: StandInAccount) -> None:
    sagemaker = here.client("sagemaker")
    for model in ("live", "shadow"):
        sagemaker.create_model(ModelName=model, PrimaryContainer={"Image": "image"})
    for config, models in {"old": ("live", "shadow"), "new": ("live",)}.items():
        sagemaker.create_endpoint_config(
            EndpointConfigName=config,
            ProductionVariants=[
                {"VariantName": model, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
                for model in models
            ],
        )
    account = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")
    AwsEndpoint(account, NAMES, "staging", queued=False).remove_config("old", "new")
    assert [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]] == ["new"]
    assert [one["ModelName"] for one in sagemaker.list_models()["Models"]] == ["live"]


def test_other_settings_of_updates_alone_come_with_another_configuration(staged: Shell) -> None:
    before = staged.account.client("sagemaker").describe_endpoint(EndpointName="visits-staging")
    Path("config/staging.yaml").write_text(
        'stacks: {endpoint: {instance_type: ml.m5.large, rollback_on_alarm: "false"}}'
    )
    assert staged("deploy", "--environment", "staging", "--version", "1", "--yes") == 0, staged.error
    after = staged.account.client("sagemaker").describe_endpoint(EndpointName="visits-staging")
    assert before["EndpointConfigName"] != after["EndpointConfigName"]


@pytest.fixture
def shadowed(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A project with shadows, whose version 1 is live."""
    run = shell(account, tmp_path / "project", capsys, monkeypatch, shadow=True)
    assert run("deploy", "--environment", "dev", "--yes") == 0
    register(account, "Approved", "Approved")
    assert run("deploy", "--environment", "staging", "--version", "1", "--yes") == 0, run.error
    return run


def deploy(clock: Clock, said: list[str]) -> Report:
    request = DeployRequest(("endpoint",))
    return Deployment(Target(Project(Path.cwd()), "staging"), request, lambda _: None, said.append, clock).run()


def shadow_of(account: StandInAccount) -> str:
    described = account.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    values = {one["ParameterKey"]: one["ParameterValue"] for one in described["Parameters"]}
    return f"{values['ModelPackageArn'][-1]} {values['ShadowModelPackageArn'][-1:]}".strip()


def test_a_version_runs_in_the_shadow_before_it_answers(shadowed: Shell) -> None:
    seen: list[tuple[str, str | None]] = []
    clock = Watched(600, lambda: seen.append((shadow_of(shadowed.account), shadowed.live("staging"))))
    report = deploy(clock, [])
    assert seen == [("1 2", f"{GROUP}/1")]
    assert (shadow_of(shadowed.account), shadowed.live("staging")) == ("2", f"{GROUP}/2")
    assert report.version == 2
    assert clock.now == 30 * 60


def test_an_alarm_takes_a_version_out_of_the_shadow_and_the_live_one_answers_on(shadowed: Shell) -> None:
    def ring() -> None:
        client = shadowed.account.client("cloudwatch")
        client.set_alarm_state(AlarmName="visits-staging-errors", StateValue="ALARM", StateReason="a test")

    with pytest.raises(
        MlopsError,
        match=r"visits-staging-errors went into ALARM while version 2 ran as a shadow\. .* version 1 is still live",
    ):
        deploy(Watched(600, ring), [])
    assert (shadow_of(shadowed.account), shadowed.live("staging")) == ("1", f"{GROUP}/1")


def test_the_live_version_needs_no_shadow(shadowed: Shell) -> None:
    clock = Clock()
    request = DeployRequest(("endpoint",), version=1)
    report = Deployment(Target(Project(Path.cwd()), "staging"), request, lambda _: None, lambda _: None, clock).run()
    assert [one.outcome for one in report.stacks] == ["unchanged"]
    assert clock.now == 0
