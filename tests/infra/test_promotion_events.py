"""A decision on a version, from its event to the deploy pipeline and to what is live."""

import json
from datetime import datetime
from typing import Any

import pytest

from mlops.base.environments import ENVIRONMENTS, PRODUCTION, STAGING
from mlops.base.errors import MlopsError
from mlops.project.account import Account
from mlops.registry.promotion import LIVE, NONE, REQUESTED, START
from mlops.registry.sagemaker import AwsRegistry
from mlops.registry.versions import APPROVED, REJECTED
from mlops.store.s3 import S3Store
from standin.account import StandInAccount
from standin.calls import CallRecord
from standin.lambdas import deliver
from standin.patterns import matches
from tests.infra.promoting import PIPELINE, Promotion, changed, promoted
from tests.infra.rendered import SLUG, text_of


@pytest.fixture
def promotion(account: StandInAccount) -> Promotion:
    return promoted(account, before=("data", "registry", "execution"))


def live_everywhere(promotion: Promotion, package: str) -> dict[str, Any]:
    """Approve a version, deploy it everywhere, and return the event of its approval."""
    event = promotion.approve(package)
    assert promotion.deliver(event)["outcome"] == START
    for environment in ENVIRONMENTS:
        promotion.ship(package, environment)
    promotion.succeed(package)
    return event


def test_an_approval_starts_the_pipeline_with_the_package_and_a_token_and_is_stamped(
    promotion: Promotion, record: CallRecord
) -> None:
    package = promotion.register()
    event = promotion.approve(package, "2026-11-20T12:00:00Z")
    said = promotion.deliver(event)
    assert said["outcome"] == START
    assert said["reason"] == "Version 1 is the champion, and not live in staging and production."
    assert said["package"] == package
    assert promotion.executions() == [(package, "InProgress")]
    [call] = [call for call in record.calls() if call.operation == "StartPipelineExecution"]
    assert call.role == promotion.role("promo")
    assert call.parameters["name"] == PIPELINE
    assert call.parameters["variables"] == [{"name": "ModelPackageArn", "value": package}]
    assert call.parameters["clientRequestToken"].isalnum()
    assert promotion.stamp(package) == "2026-11-20T12:00:00.000000+00:00"
    described = promotion.account.client("sagemaker").describe_model_package(ModelPackageName=package)
    assert described["CustomerMetadataProperties"]["GitCommit"] == "0"


def test_an_event_that_comes_twice_deploys_once_even_after_the_deployment_has_failed(promotion: Promotion) -> None:
    package = promotion.register()
    event = promotion.approve(package)
    first = promotion.deliver(event)
    assert promotion.deliver(event)["outcome"] == REQUESTED
    promotion._under_way(package).status = "Failed"
    assert promotion.deliver(event)["execution"] == first["execution"]
    assert promotion.executions() == [(package, "Failed")]
    # Somebody approves it again, once the cause is removed.
    assert promotion.deliver(promotion.approve(package, "2099-01-01T00:00:00Z"))["outcome"] == START
    assert promotion.executions() == [(package, "Failed"), (package, "InProgress")]


def test_the_event_of_a_version_that_is_live_deploys_nothing(promotion: Promotion) -> None:
    package = promotion.register()
    event = live_everywhere(promotion, package)
    assert promotion.deliver(event)["outcome"] == LIVE
    assert promotion.executions() == [(package, "Succeeded")]


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("Approved", ["CustomerMetadataProperties"]),
        ("Approved", ["ApprovalDescription"]),
        ("PendingManualApproval", ["ModelApprovalStatus"]),
    ],
)
def test_what_is_no_decision_reaches_nobody(promotion: Promotion, status: str, fields: list[str]) -> None:
    package = promotion.register()
    live_everywhere(promotion, package)
    assert deliver(promotion.account, changed(package, status, fields, "2026-11-20T12:00:00Z")) == []
    other = package.replace(f"/{SLUG}/", f"/{SLUG}-2/")
    assert deliver(promotion.account, changed(other, "Approved", ["ModelApprovalStatus"], "2026-11-20T12:00:00Z")) == []


def test_a_version_that_is_registered_as_approved_is_a_decision(promotion: Promotion) -> None:
    package = promotion.register()
    event = promotion.approve(package)
    del event["detail"]["UpdatedModelPackageFields"]
    assert promotion.deliver(event)["outcome"] == START
    assert promotion.executions() == [(package, "InProgress")]


def test_an_approval_with_its_stamp_is_a_decision(promotion: Promotion) -> None:
    package = promotion.register()
    fields = ["ApprovalDescription", "CustomerMetadataProperties", "ModelApprovalStatus"]
    event = {**promotion.approve(package), **changed(package, "Approved", fields, "2026-11-20T12:00:00Z")}
    assert promotion.deliver(event)["outcome"] == START


def test_approving_with_mlops_stamps_in_the_same_call_and_rejecting_does_not(
    promotion: Promotion, record: CallRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = promotion.register()
    for name, value in promotion.account.environment().items():
        monkeypatch.setenv(name, value)
    account = Account(promotion.account.id, promotion.account.region, "bucket", "role")
    registry = AwsRegistry(account, S3Store(account), SLUG)
    rejected = registry.decide(1, REJECTED, "not yet")
    assert "approved_at" not in rejected.metadata
    approved = registry.decide(1, APPROVED, "now")
    assert approved.metadata["GitCommit"] == "0"
    assert approved.metadata["approved_by"] == account.caller
    assert approved.decided == datetime.fromisoformat(approved.metadata["approved_at"])
    # The event of that approval, which EventBridge knows to the second, changes nothing of it.
    event = changed(package, APPROVED, ["ModelApprovalStatus"], approved.decided.isoformat(timespec="seconds"))
    assert promotion.deliver(event)["outcome"] == START
    assert promotion.stamp(package) == approved.metadata["approved_at"]
    assert [call.operation for call in record.calls()].count("UpdateModelPackage") == 0


def test_two_approvals_while_staging_deploys_end_at_the_last_one(promotion: Promotion) -> None:
    first, second, third = (promotion.register() for _ in range(3))
    promotion.deliver(promotion.approve(first))
    promotion.ship(first, STAGING)
    for package in (second, third):
        assert promotion.deliver(promotion.approve(package))["outcome"] == START
    assert [package for package, _ in promotion.executions()] == [first, second, third]
    promotion.ship(first, PRODUCTION)
    promotion.ship(second, STAGING)
    assert promotion.executions() == [(first, "Stopped"), (second, "Stopped"), (third, "InProgress")]
    for environment in ENVIRONMENTS:
        promotion.ship(third, environment)
    assert promotion.live() == dict.fromkeys(ENVIRONMENTS, third)


def test_an_approval_during_the_bake_in_production_is_deployed_after_it(promotion: Promotion) -> None:
    first, second = promotion.register(), promotion.register()
    promotion.deliver(promotion.approve(first))
    promotion.ship(first, STAGING)
    # It has begun, and what is live changes once it has ended.
    assert promotion.deliver(promotion.approve(second))["outcome"] == START
    promotion.set_live(PRODUCTION, first)
    promotion.succeed(first)
    for environment in ENVIRONMENTS:
        promotion.ship(second, environment)
    assert promotion.live() == dict.fromkeys(ENVIRONMENTS, second)


def test_a_version_rejected_between_staging_and_production_stays_out_of_it_and_goes_from_staging(
    promotion: Promotion,
) -> None:
    before, package = promotion.register(), promotion.register()
    live_everywhere(promotion, before)
    promotion.deliver(promotion.approve(package))
    promotion.ship(package, STAGING)
    said = promotion.deliver(promotion.reject(package))
    assert (said["outcome"], said["package"]) == (START, before)
    with pytest.raises(MlopsError, match="Version 2 is Rejected"):
        promotion.ship(package, PRODUCTION)
    for environment in ENVIRONMENTS:
        promotion.ship(before, environment)
    assert promotion.live() == dict.fromkeys(ENVIRONMENTS, before)
    assert promotion.executions() == [(before, "Succeeded"), (package, "Failed"), (before, "InProgress")]


def test_rejecting_the_live_version_brings_back_the_one_before_each_time(promotion: Promotion) -> None:
    before, package = promotion.register(), promotion.register()
    live_everywhere(promotion, before)
    for day in (1, 2):
        promotion.deliver(promotion.approve(package, f"2099-01-0{day}T00:00:00Z"))
        for environment in ENVIRONMENTS:
            promotion.ship(package, environment)
        promotion.succeed(package)
        assert promotion.deliver(promotion.reject(package, f"2099-01-0{day}T12:00:00Z"))["package"] == before
        for environment in ENVIRONMENTS:
            promotion.ship(before, environment)
        promotion.succeed(before)
        assert promotion.live() == dict.fromkeys(ENVIRONMENTS, before)


def test_late_events_out_of_order_deploy_what_was_approved_last_and_no_older_stamp_wins(promotion: Promotion) -> None:
    first, second = promotion.register(), promotion.register()
    early = promotion.approve(first, "2099-11-20T12:00:00Z")
    middle = promotion.approve(second, "2099-11-20T12:01:00Z")
    late = promotion.approve(first, "2099-11-20T12:02:00Z")
    assert promotion.deliver(late)["package"] == first
    promotion._under_way(first).status = "Failed"
    assert promotion.deliver(early)["package"] == first
    assert promotion.stamp(first) == "2099-11-20T12:02:00.000000+00:00"
    assert promotion.deliver(middle)["outcome"] == REQUESTED
    assert promotion.stamp(second) == "2099-11-20T12:01:00.000000+00:00"


def test_a_late_approval_of_a_version_that_was_rejected_since_is_not_stamped_and_deploys_nothing(
    promotion: Promotion,
) -> None:
    package = promotion.register()
    approval, rejection = promotion.approve(package), promotion.reject(package)
    assert [promotion.deliver(event)["outcome"] for event in (rejection, approval)] == [NONE, NONE]
    assert promotion.stamp(package) is None
    assert promotion.executions() == []


def test_a_rejection_of_a_version_that_is_approved_again_is_no_stamp(promotion: Promotion) -> None:
    package = promotion.register()
    rejection = promotion.reject(package)
    promotion.approve(package)
    promotion.deliver(rejection)
    assert promotion.stamp(package) is None


def test_when_nothing_is_approved_that_is_told_and_nothing_deployed(promotion: Promotion, record: CallRecord) -> None:
    package = promotion.register()
    live_everywhere(promotion, package)
    assert promotion.deliver(promotion.reject(package))["outcome"] == NONE
    [call] = [call for call in record.calls() if call.operation == "Publish"]
    assert call.parameters["TopicArn"] == promotion.values["TopicArn"]
    assert call.parameters["Message"] == "No version is approved: the live versions stay live."
    assert promotion.live() == dict.fromkeys(ENVIRONMENTS, package)


def test_a_failed_action_is_told_of_and_no_other_state(promotion: Promotion) -> None:
    # https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html
    detail = {
        "pipeline": PIPELINE,
        "execution-id": "12345678-1234-5678-abcd-12345678abcd",
        "stage": "Production",
        "action": "Verify",
        "region": promotion.account.region,
        "type": {"owner": "AWS", "category": "Test", "provider": "CodeBuild", "version": "1"},
        "version": 1,
    }
    event = {"source": "aws.codepipeline", "detail-type": "CodePipeline Action Execution State Change"}
    events = promotion.account.client("events")
    [target] = events.list_targets_by_rule(Rule=f"{SLUG}-failed-deployment")["Targets"]
    assert target["Arn"] == promotion.values["TopicArn"]
    told_of = {path.rpartition(".")[2] for path in target["InputTransformer"]["InputPathsMap"].values()}
    assert told_of <= {*detail, "region"}
    pattern = events.describe_rule(Name=f"{SLUG}-failed-deployment")["EventPattern"]
    for state, pipeline, told in (
        ("FAILED", PIPELINE, True),
        ("SUCCEEDED", PIPELINE, False),
        ("ABANDONED", PIPELINE, False),
        ("FAILED", f"{SLUG}-build", False),
    ):
        said = {**event, "detail": {**detail, "state": state, "pipeline": pipeline}}
        assert matches(json.loads(pattern), said) is told


def test_the_manual_explains_what_the_message_of_a_failure_says(promotion: Promotion) -> None:
    [target] = promotion.account.client("events").list_targets_by_rule(Rule=f"{SLUG}-failed-deployment")["Targets"]
    said, *_ = json.loads(target["InputTransformer"]["InputTemplate"]).split(". ")
    pipeline = promotion.stacks["promotion"].template.resources["DeployPipeline"]["Properties"]
    actions = {(stage["Name"], action["Name"]) for stage in pipeline["Stages"] for action in stage["Actions"]}
    manual = text_of("docs/promotion.md", {})
    for stage, action in (("Production", "Verify"), ("Approval", "Approve")):
        assert (stage, action) in actions
        assert f"*{said.replace('<action>', action).replace('<stage>', stage)}*" in manual


def test_an_event_that_the_function_fails_at_is_kept_and_rings(promotion: Promotion) -> None:
    account = promotion.account
    [target] = account.client("events").list_targets_by_rule(Rule=f"{SLUG}-decision")["Targets"]
    queue = f"arn:aws:sqs:{account.region}:{account.id}:{SLUG}-promote-undelivered"
    assert target["DeadLetterConfig"]["Arn"] == queue
    function = promotion.stacks["promotion"].template.resources["Promote"][
        "Properties"
    ]  # moto does not say it of a function
    assert function["DeadLetterConfig"]["TargetArn"] == {"Fn::GetAtt": ["Undelivered", "Arn"]}
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    [alarm] = account.client("cloudwatch").describe_alarms(AlarmNames=[f"{SLUG}-not-promoted"])["MetricAlarms"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": f"{SLUG}-promote-undelivered"}]
    assert alarm["AlarmActions"] == [promotion.values["TopicArn"]]
