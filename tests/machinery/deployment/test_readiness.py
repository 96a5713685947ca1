"""What `deploy` finds before it changes anything, and what it says is left to a person."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlops.deployment import readiness
from mlops.deployment.checks.finding import Finding
from mlops.deployment.checks.images import image_support
from mlops.deployment.cloudformation import StackService
from mlops.project.account import Account
from mlops.project.target import Target
from standin import mail
from standin.account import StandInAccount
from standin.scripted import Clock, Refusal, Script
from tests.infra.rendered import text_of, texts
from tests.machinery.deployment.deploying import Shell, entered
from tests.machinery.deployment.small_project import ACCOUNT, NAMES, REGION, register, small_project

TODAY = date(2026, 11, 26)
ADDRESS = "team@example.com"
CONNECTION = f"arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/01234567-0123-4567-89ab-0123456789ab"
STAGING = ("deploy", "--environment", "staging", "--yes")


@pytest.fixture
def fresh(
    account: StandInAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """A small project whose shared stacks are there and whose version is approved, in an account without quotas."""
    small_project(tmp_path / "project")
    run = entered(account, tmp_path / "project", capsys, monkeypatch)

    def prepare() -> None:
        assert run("deploy", "--environment", "dev", "--yes") == 0, run.error
        register(account, "Approved")

    account.cloud.once("a small project in a fresh account", prepare)
    return run


def raised(run: Shell, quota: str, value: float) -> None:
    run.account.client("service-quotas").request_service_quota_increase(
        ServiceCode="sagemaker", QuotaCode=quota, DesiredValue=value
    )
    run.account.cloud.quotas.approve()


def test_a_fresh_account_is_refused_with_the_command_and_nothing_is_changed(fresh: Shell) -> None:
    before = fresh.stacks()
    assert fresh(*STAGING) == 1
    assert f"error: The account {ACCOUNT} in {REGION} is not ready; nothing was changed:" in fresh.error
    assert (
        "Quota L-614B09FD ('ml.m5.large for endpoint usage') is 0; 3 needed: the endpoint of staging uses 1 and 1 "
        "more during an update, the endpoint of production uses 1 and 1 more" in fresh.error
    )
    command = "aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code L-614B09FD"
    assert f"{command} --desired-value 3 --region {REGION}" in fresh.error
    assert fresh.stacks() == before


def test_json_stays_json_beside_warnings(fresh: Shell) -> None:
    raised(fresh, "L-614B09FD", 2)
    report = fresh.json(*STAGING)
    assert report["version"] == 1
    assert "Warning: Quota L-614B09FD ('ml.m5.large for endpoint usage') is 2; 3 needed" in fresh.error


def test_what_production_needs_is_advice_until_production_is_deployed(fresh: Shell) -> None:
    raised(fresh, "L-614B09FD", 2)
    assert fresh(*STAGING) == 0
    assert fresh("deploy", "--environment", "production", "--yes") == 1
    assert "is 2; 3 needed" in fresh.error
    raised(fresh, "L-614B09FD", 3)
    assert fresh("deploy", "--environment", "production", "--yes") == 0, fresh.error


def test_what_production_has_already_is_not_free_for_staging(fresh: Shell) -> None:
    raised(fresh, "L-614B09FD", 3)
    for name in ("staging", "production"):
        assert fresh("deploy", "--environment", name, "--yes") == 0, fresh.error
    fresh.account.cloud.quotas.values.update(dict.fromkeys(fresh.account.cloud.quotas.values, 2))
    assert fresh(*STAGING) == 1
    assert "is 2; 3 needed" in fresh.error


def test_a_stack_that_takes_nothing_of_it_is_deployed_meanwhile(fresh: Shell) -> None:
    (Path.cwd() / "infra/api.yaml").write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")
    assert fresh(*STAGING, "--stack", "api") == 0, fresh.error
    assert "Warning: Quota L-614B09FD" in fresh.error


def test_a_request_that_is_not_decided_is_named_and_asked_for_no_second_time(fresh: Shell) -> None:
    fresh.account.client("service-quotas").request_service_quota_increase(
        ServiceCode="sagemaker", QuotaCode="L-614B09FD", DesiredValue=5
    )
    assert fresh(*STAGING) == 1
    assert "an increase to 5 is requested and pending" in fresh.error
    assert "request-service-quota-increase" not in fresh.error
    assert "aws service-quotas list-requested-service-quota-change-history-by-quota" in fresh.error


def test_a_type_of_instances_that_service_quotas_does_not_list_is_a_warning(fresh: Shell) -> None:
    for name in ("staging", "production"):
        (Path.cwd() / f"config/{name}.yaml").write_text('stacks: {endpoint: {instance_type: "ml.m99.large"}}')
    fresh(*STAGING)
    assert f"Warning: Service Quotas lists no 'ml.m99.large for endpoint usage' in {REGION}." in fresh.error


class Checks:
    """The checks that `deploy` makes of an environment whose account holds stacks with these outputs.

    Args:
        root: Where the project is written.
        environment: The environment.
        patch: Lets the stacks be found.
        outputs: Outputs by stack of `dev`.
    """

    def __init__(self, root: Path, environment: str, patch: pytest.MonkeyPatch, **outputs: dict[str, str]) -> None:
        stacks = {
            NAMES.stack(name.replace("_", "-"), "dev"): {
                "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in said.items()]
            }
            for name, said in outputs.items()
        }
        patch.setattr(StackService, "describe", lambda _, name: stacks.get(name))
        self.target = Target(small_project(root), environment)
        self.target.__dict__["account"] = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")

    def before(self, chosen: list[str], today: date) -> list[Finding]:
        return readiness.before(self.target, {self.target.environment: chosen}, today)

    def after(self) -> list[Finding]:
        return readiness.after(self.target, {self.target.environment: []}, TODAY)


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Checks]:
    """Makes the checks of an environment."""
    return lambda environment="dev", **outputs: Checks(tmp_path, environment, monkeypatch, **outputs)


def configured(found: Checks, **stacks: Any) -> None:
    for name in stacks:
        (found.target.project.root / f"infra/{name}.yaml").write_text("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")
    path = found.target.project.root / "config/dev.yaml"
    path.write_text(json.dumps({"account": ACCOUNT, "stacks": stacks}))
    found.target.__dict__.pop("settings", None)  # a target reads them once


def denied(operation: str) -> Script:
    """What Service Quotas answers whoever lacks the right to one operation."""
    quota = {"ServiceCode": "sagemaker", "QuotaCode": "L-614B09FD", "QuotaName": "ml.m5.large for endpoint usage"}
    answers: dict[str, Any] = {
        "ListAWSDefaultServiceQuotas": {"Quotas": [{**quota, "Value": 9.0}]},
        "GetServiceQuota": {"Quota": {**quota, "Value": 0.0}},
        operation: Refusal("AccessDeniedException", "no"),
    }
    return Script(Clock(), {name: [(0.0, answer)] for name, answer in answers.items()})


def test_who_may_not_read_requests_for_increases_is_refused_all_the_same(checks: Callable[..., Checks]) -> None:
    found = checks("staging")
    script = denied("ListRequestedServiceQuotaChangeHistoryByQuota")
    found.target.account.__dict__["quotas"] = script.client("service-quotas")
    assert [finding.blocks for finding in found.before(["endpoint"], TODAY) if "L-614B09FD" in finding.what] == [True]


@pytest.mark.parametrize("operation", ["ListAWSDefaultServiceQuotas", "GetServiceQuota"])
def test_who_may_not_read_quotas_is_told_which_right_is_missing_and_deploys(
    checks: Callable[..., Checks], operation: str
) -> None:
    found = checks("staging")
    found.target.account.__dict__["quotas"] = denied(operation).client("service-quotas")
    [warning] = found.before(["endpoint"], TODAY)
    assert not warning.blocks
    assert f"Cannot read the service quotas of sagemaker: {operation} failed with AccessDeniedException" in warning.what
    assert f"Your role needs permission for {operation}" in warning.remedy


def test_without_an_address_that_is_said_once(checks: Callable[..., Checks], here: StandInAccount) -> None:
    here.grow()
    [finding] = checks().before([], TODAY)
    assert (finding.blocks, "notification_email" in finding.what) == (False, True)
    assert checks("staging").before([], TODAY) == []


def test_an_address_that_has_not_confirmed_is_named_before_staging_and_after_dev(
    checks: Callable[..., Checks], here: StandInAccount
) -> None:
    here.grow()
    topic = here.client("sns").create_topic(Name="visits-notifications")["TopicArn"]
    outputs = {"execution": {"TopicArn": topic}}
    dev, staging = (checks(name, **outputs) for name in ("dev", "staging"))
    configured(dev, execution={"notification_email": ADDRESS})
    here.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=ADDRESS)
    assert dev.before([], TODAY) == []
    [finding] = staging.before([], TODAY)
    assert dev.after() == [finding]
    assert (finding.blocks, staging.after()) == (False, [])
    assert finding.what == f"{ADDRESS} has not confirmed its subscription to the notifications."
    assert f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint {ADDRESS}" in finding.remedy
    mail.confirm(ACCOUNT, REGION, ADDRESS)
    assert (staging.before([], TODAY), dev.after()) == ([], [])


def connection(account: StandInAccount, status: str) -> str:
    """A connection in a state; a new one waits for a person."""
    client = account.client("codeconnections")
    arn: str = client.create_connection(ConnectionName=f"github-{status}", ProviderType="GitHub")["ConnectionArn"]
    [record] = [record for record in account.cloud.gaps.records.values() if record.get("ConnectionArn") == arn]
    assert client.get_connection(ConnectionArn=arn)["Connection"]["ConnectionStatus"] == "PENDING"
    record["ConnectionStatus"] = status
    return arn


@pytest.mark.parametrize("status", ["PENDING", "ERROR"])
def test_a_configured_connection_that_cannot_be_used_blocks_the_stack_that_takes_it(
    checks: Callable[..., Checks], here: StandInAccount, status: str
) -> None:
    here.grow()
    found = checks()
    arn = connection(here, status)
    configured(found, execution={"notification_email": ADDRESS}, cicd={"connection_arn": arn})
    [finding] = found.before(["cicd"], TODAY)
    assert (finding.blocks, finding.what) == (True, f"The connection {arn} is {status}.")
    assert f"https://{REGION}.console.aws.amazon.com/codesuite/settings/connections" in finding.remedy
    assert f"aws codeconnections get-connection --connection-arn {arn} --region {REGION}" in finding.remedy
    assert found.before(["data"], TODAY) == []


def test_a_configured_connection_that_is_not_there_blocks_and_one_that_is_authorized_does_not(
    checks: Callable[..., Checks], here: StandInAccount
) -> None:
    here.grow()
    found = checks()
    configured(found, execution={"notification_email": ADDRESS}, cicd={"connection_arn": CONNECTION})
    [finding] = found.before(["cicd"], TODAY)
    assert (finding.blocks, finding.what) == (True, f"The connection {CONNECTION} does not exist.")
    arn = connection(here, "AVAILABLE")
    configured(found, execution={"notification_email": ADDRESS}, cicd={"connection_arn": arn})
    assert found.before(["cicd"], TODAY) == []


def test_a_connection_that_the_stack_has_made_is_the_next_step_until_a_person_authorizes_it(
    checks: Callable[..., Checks], here: StandInAccount
) -> None:
    found = checks(cicd={"SourceArn": connection(here, "PENDING")})
    [finding] = found.after()
    assert not finding.blocks
    assert "Update the pending connection" in finding.remedy
    assert checks(cicd={"SourceArn": connection(here, "AVAILABLE")}).after() == []
    assert checks(cicd={"SourceArn": f"arn:aws:codecommit:{REGION}:{ACCOUNT}:visits"}).after() == []


def uses_image(root: Path, framework: str, training_image: str = "aws") -> None:
    """Let a project run its jobs in AWS's image of a framework, or in its own."""
    answers = json.loads((root / "project.yaml").read_text())
    answers |= {"framework": framework, "training_image": training_image}
    (root / "project.yaml").write_text(json.dumps(answers))
    name = f"config/images/{framework}.yaml"
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text_of(name, {"framework": framework}))


def test_deploy_and_upsert_warn_of_an_image_that_is_no_longer_supported(fresh: Shell) -> None:
    fresh.account.grow()
    warning = "Warning: AWS ended its support of the image pytorch 2.6.0 on 2026-06-30."
    uses_image(Path.cwd(), "pytorch")
    assert fresh(*STAGING) == 0
    assert warning in fresh.error
    assert fresh("upsert", "--environment", "local") == 2  # which is this machine
    assert warning in fresh.error
    uses_image(Path.cwd(), "pytorch", "custom")
    assert fresh(*STAGING) == 0
    assert "support" not in fresh.error


@pytest.mark.parametrize(
    ("framework", "today", "said"),
    [
        ("xgboost", date(2027, 2, 11), []),
        ("xgboost", date(2027, 2, 12), ["ends its support of the image xgboost 3.2-0 on 2027-05-13"]),
        ("xgboost", date(2027, 5, 13), ["ends its support of the image xgboost 3.2-0 on 2027-05-13"]),
        ("xgboost", date(2027, 5, 14), ["ended its support of the image xgboost 3.2-0 on 2027-05-13"]),
        ("sklearn", date(2027, 4, 17), ["ends its support of the image sklearn 1.9-0 on 2027-07-16"]),
        ("pytorch", date(2026, 6, 1), ["ends its support of the image pytorch 2.6.0 on 2026-06-30"]),
        (
            "pytorch",
            TODAY,
            [
                "ends its support of the image pytorch 2.10.0 on 2027-01-21",
                "ended its support of the image pytorch 2.6.0 on 2026-06-30",
            ],
        ),
    ],
)
def test_the_end_of_an_image_is_said_from_90_days_before_on(
    tmp_path: Path, framework: str, today: date, said: list[str]
) -> None:
    project = small_project(tmp_path)
    uses_image(tmp_path, framework)
    found = list(image_support(project, today))
    assert [finding.what for finding in found] == [f"AWS {each}." for each in said]
    assert not any(finding.blocks for finding in found)


def test_the_share_of_a_canary_is_said(fresh: Shell) -> None:
    root = Path.cwd()
    text = (root / "infra/endpoint.yaml").read_text()
    declared = "Parameters:\n  DeploymentStrategy: {Type: String, Default: canary}\n"
    (root / "infra/endpoint.yaml").write_text(
        text.replace("Parameters:\n", declared + "  MinInstanceCount: {Type: Number, Default: 2}\n", 1)
    )
    fresh.account.grow()
    assert fresh(*STAGING) == 0, fresh.error
    assert (
        "The canary is one of 2 instances, 50 % of the traffic; `min_instance_count: 3` would make it 33 %."
        in fresh.error
    )
    (root / "config/staging.yaml").write_text(
        'stacks: {endpoint: {instance_type: "ml.m5.large", min_instance_count: 1}}'
    )
    assert fresh(*STAGING) == 0, fresh.error
    assert "canary" not in fresh.error


def test_the_roles_that_deploy_make_the_service_linked_roles_themselves() -> None:
    """So that nothing has to be found out about them before."""
    granted = set(re.findall(r"iam:AWSServiceName: ([a-z.-]+)", texts({})["workload"]))
    assert granted == {"sagemaker.application-autoscaling.amazonaws.com", "ops.apigateway.amazonaws.com"}
