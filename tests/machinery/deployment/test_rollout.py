"""How an update of an endpoint ends, by scripts and an injected clock; and versions in the shadow."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlops.aws.account import Account
from mlops.aws.endpoint import AwsEndpoint
from mlops.aws.stacks import StackService
from mlops.deploy import Deployment, Report, Wish
from mlops.errors import MlopsError
from mlops.project import Project
from mlops.rollout import PACKAGE, Rollout
from mlops.stacks import Template
from standin.account import StandInAccount
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
    assert looks == 600 / 5 + 1
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
        "The endpoint visits-staging was rolled back, and serves what it served before: it is InService on old, "
        "not on new. The alarm errors rings."
    )


def test_a_stack_that_was_rolled_back_says_why_and_which_alarm_rings() -> None:
    rolling = Rolling(
        DescribeStacks=[(0, stack("CREATE_COMPLETE")), (60, stack("UPDATE_ROLLBACK_COMPLETE"))],
        DescribeEndpoint=endpoint("InService"),
        DescribeAlarms=[(0, alarms(errors="OK")), (60, alarms(errors="ALARM", backlog="ALARM"))],
    )
    with pytest.raises(MlopsError) as caught:
        rolling.run()
    assert "visits-staging was rolled back, and serves what it served before" in caught.value.message
    assert "Endpoint (AWS::SageMaker::Endpoint): Alarm(s) went off during deployment" in caught.value.message
    assert "The alarm backlog and errors rings" in caught.value.message


def test_a_failed_endpoint_gives_its_reason() -> None:
    failed = endpoint("Failed", "new", FailureReason="The container did not answer the ping.")
    rolling = Rolling(DescribeEndpoint=[(0, endpoint("InService")), (60, endpoint("Updating", "new")), (90, failed)])
    with pytest.raises(MlopsError, match="visits-staging is Failed: The container did not answer the ping"):
        rolling.run()


def test_an_endpoint_that_failed_before_is_not_touched() -> None:
    rolling = Rolling(DescribeEndpoint=endpoint("Failed", FailureReason="No capacity."))
    with pytest.raises(MlopsError, match=r"visits-staging failed, and cannot be updated: No capacity.") as caught:
        rolling.run()
    assert "destroy --environment staging --stack endpoint" in caught.value.remedy
    assert not rolling.executed()


def test_an_alarm_that_rings_is_named_and_nothing_is_touched_and_no_change_set_is_left() -> None:
    rolling = Rolling(DescribeAlarms=alarms(errors="ALARM"))
    with pytest.raises(MlopsError, match="The alarm errors of the endpoint visits-staging rings"):
        rolling.run()
    assert not rolling.executed()
    assert "DeleteChangeSet" in [operation for operation, _ in rolling.script.asked]


def test_a_cure_asks_no_alarm() -> None:
    assert Rolling(DescribeAlarms=alarms(errors="ALARM")).run(RollbackOnAlarm="false") == "updated"


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
    assert "run the same command again" in caught.value.remedy


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
    wish = Wish("staging", stacks=("endpoint",))
    return Deployment(Project(Path.cwd()), wish, lambda _: None, said.append, clock).run()


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
        MlopsError, match="visits-staging-errors rang while version 2 ran in the shadow: version 1 answ"
    ):
        deploy(Watched(600, ring), [])
    assert (shadow_of(shadowed.account), shadowed.live("staging")) == ("1", f"{GROUP}/1")


def test_the_live_version_needs_no_shadow(shadowed: Shell) -> None:
    clock = Clock()
    wish = Wish("staging", stacks=("endpoint",), version=1)
    report = Deployment(Project(Path.cwd()), wish, lambda _: None, lambda _: None, clock).run()
    assert [one.outcome for one in report.stacks] == ["unchanged"]
    assert clock.now == 0
