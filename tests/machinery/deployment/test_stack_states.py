"""Each state that a stack can be in has its own next action; time passes by a script."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.base.waiting import PATIENCE
from mlops.deployment.cloudformation import FailedChangeError, Plan, StackService
from mlops.deployment.templates import Template
from mlops.project.account import Account
from standin.scripted import Clock, Refusal, Script
from tests.machinery.deployment.small_project import ACCOUNT, REGION, SLUG

STACK = "visits-data"
ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/1"
NESTED = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/inner/2"
TEMPLATE = Template.parse("Resources: {Topic: {Type: 'AWS::SNS::Topic'}}")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"
MISSING = Refusal("ValidationError", f"Stack with id {STACK} does not exist")
HANDLER = (
    'Resource handler returned message: "Name is taken (Service: S3, Status Code: 409, Request ID: 1)" '
    "(RequestToken: 2, HandlerErrorCode: AlreadyExists)"
)
CHANGE_SET = {
    "Status": "CREATE_COMPLETE",
    "Changes": [
        {"ResourceChange": {"Action": action, "LogicalResourceId": action, "ResourceType": "AWS::SNS::Topic", **more}}
        for action, more in (
            ("Add", {}),
            ("Modify", {"Replacement": "False"}),
            ("Modify", {"Replacement": "True"}),
            ("Modify", {"Replacement": "Conditional"}),
            ("Remove", {}),
            ("Import", {}),
        )
    ],
}
Answers = list[tuple[float, Any]]


def stack(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackName": STACK, "StackStatus": status, "CreationTime": datetime.now(UTC)}]}


def event(logical: str, status: str, reason: str = "", type_: str = "", physical: str = "") -> dict[str, Any]:
    """An event; of the stack itself without a type."""
    return {
        "StackId": NESTED if physical == NESTED and not type_ else ID,
        "EventId": f"{logical}{status}",
        "StackName": STACK,
        "LogicalResourceId": logical,
        "PhysicalResourceId": physical or ("" if type_ else ID),
        "ResourceType": type_ or "AWS::CloudFormation::Stack",
        "Timestamp": datetime.now(UTC),
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


# Newest first, as CloudFormation tells them.
FAILED_UPDATE = [
    event(STACK, "UPDATE_ROLLBACK_COMPLETE"),
    event("Bucket", "UPDATE_FAILED", "It cannot be brought back", "AWS::S3::Bucket"),
    event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Bucket]."),
    event("Other", "CREATE_FAILED", "Resource creation cancelled", "AWS::SNS::Topic"),
    event("Third", "CREATE_FAILED", "Failed later", "AWS::SNS::Topic"),
    event("Bucket", "CREATE_FAILED", HANDLER, "AWS::S3::Bucket"),
    event("Same second", "UPDATE_FAILED", "Resource update cancelled", "AWS::SNS::Topic"),
    event(STACK, "UPDATE_IN_PROGRESS", "User Initiated"),
    event("Older", "CREATE_FAILED", "Of an earlier time", "AWS::S3::Bucket"),
]


class Told:
    """A service that a script answers, and what it told the reader."""

    def __init__(self, **timelines: Any) -> None:
        self.clock = Clock()
        defaults: dict[str, Any] = {
            "CreateChangeSet": {"Id": "arn:change-set"},
            "DescribeChangeSet": CHANGE_SET,
            "DescribeStackEvents": {"StackEvents": FAILED_UPDATE},
            **{name: {} for name in ("DeleteChangeSet", "DeleteStack", "ExecuteChangeSet")},
        }
        answers = {
            name: one if isinstance(one, list) else [(0, one)] for name, one in {**defaults, **timelines}.items()
        }
        self.script = Script(self.clock, answers)
        account = Account(id=ACCOUNT, region=REGION, bucket="data", role="role")
        account.__dict__["cloudformation"] = self.script.client("cloudformation")
        account.__dict__["s3"] = self.script.client("s3")
        self.said: list[str] = []
        self.service = StackService(account, SLUG, self.said.append, self.clock)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.script.asked if name == operation]

    def passes(self, seconds: float, operation: str) -> None:
        """Let time pass with each call of an operation, before it is answered."""
        events = self.service.account.cloudformation.meta.events
        events.register_first(f"before-call.cloudformation.{operation}", lambda **_: self.clock.sleep(seconds))

    def plan(self, template: Template = TEMPLATE) -> Plan | None:
        return self.service.plan(STACK, template, {"ProjectName": SLUG})

    def put(self, confirm: Callable[[Plan], None]) -> str:
        return self.service.put(STACK, TEMPLATE, {}, role=None, confirm=confirm).outcome


def test_a_stack_that_is_not_there_is_created() -> None:
    told = Told(DescribeStacks=[(0, MISSING), (5, stack("CREATE_IN_PROGRESS")), (60, stack("CREATE_COMPLETE"))])
    plan = told.plan()
    assert plan is not None
    assert plan.creates
    assert told.asked("CreateChangeSet")[0]["ChangeSetType"] == "CREATE"
    told.clock.sleep(5)
    told.service.execute(plan)
    assert told.clock.now >= 60
    assert told.said == [f"{STACK}: CREATE_IN_PROGRESS"]


def test_a_change_set_says_what_is_changed_in_place_and_what_is_replaced() -> None:
    plan = Told(DescribeStacks=stack("CREATE_COMPLETE")).plan()
    assert plan is not None
    assert [change.action for change in plan.changes] == [
        "add",
        "modify in place",
        "REPLACE",
        "modify, perhaps REPLACE",
        "remove",
        "import, it exists",
    ]


def test_a_change_set_is_waited_for() -> None:
    told = Told(
        DescribeStacks=stack("CREATE_COMPLETE"),
        DescribeChangeSet=[(0, {"Status": "CREATE_PENDING"}), (7, {"Status": "CREATE_IN_PROGRESS"}), (20, CHANGE_SET)],
    )
    assert told.plan() is not None
    assert told.clock.now == 20


@pytest.mark.parametrize(
    "reason",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_an_empty_change_set_is_removed_and_changes_nothing(reason: str) -> None:
    told = Told(DescribeStacks=stack("UPDATE_COMPLETE"), DescribeChangeSet={"Status": "FAILED", "StatusReason": reason})
    assert told.put(lambda _: pytest.fail("nothing is to be confirmed")) == "unchanged"
    assert len(told.asked("DeleteChangeSet")) == 1
    assert told.asked("ExecuteChangeSet") == told.asked("DeleteStack") == []


def test_a_change_set_that_cannot_be_made_says_why_and_leaves_no_empty_stack() -> None:
    told = Told(
        DescribeStacks=[(0, MISSING), (5, stack("REVIEW_IN_PROGRESS")), (10, MISSING)],
        DescribeChangeSet=[
            (0, {"Status": "CREATE_IN_PROGRESS"}),
            (5, {"Status": "FAILED", "StatusReason": "Parameter X is wrong."}),
        ],
    )
    told.passes(5, "DeleteStack")
    with pytest.raises(MlopsError, match=r"rejects the change of visits-data: Parameter X is wrong."):
        told.plan()
    assert len(told.asked("DeleteStack")) == 1


def test_review_in_progress_goes_on_as_a_creation() -> None:
    told = Told(DescribeStacks=stack("REVIEW_IN_PROGRESS"))
    told.plan()
    assert told.asked("CreateChangeSet")[0]["ChangeSetType"] == "CREATE"
    assert told.clock.now == 0


def test_rollback_complete_is_removed_and_made_anew() -> None:
    told = Told(
        DescribeStacks=[(0, stack("ROLLBACK_COMPLETE")), (3, stack("DELETE_IN_PROGRESS")), (20, MISSING)],
    )
    told.passes(3, "DeleteStack")
    told.plan()
    assert len(told.asked("DeleteStack")) == 1
    assert told.asked("CreateChangeSet")[0]["ChangeSetType"] == "CREATE"
    assert told.said[0] == "The creation of visits-data failed earlier: what is left of it is deleted first."


@pytest.mark.parametrize(
    "status",
    [
        "CREATE_IN_PROGRESS",
        "ROLLBACK_IN_PROGRESS",
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "IMPORT_IN_PROGRESS",
    ],
)
def test_what_somebody_else_does_to_a_stack_is_waited_for(status: str) -> None:
    told = Told(DescribeStacks=[(0, stack(status)), (600, stack("UPDATE_COMPLETE"))])
    told.plan()
    assert told.clock.now == 600
    assert told.asked("CreateChangeSet")[0]["ChangeSetType"] == "UPDATE"
    assert told.said == [f"{STACK}: {status}"]


def test_a_stack_that_is_being_deleted_is_made_anew_when_it_is_gone() -> None:
    told = Told(DescribeStacks=[(0, stack("DELETE_IN_PROGRESS")), (60, MISSING)])
    told.plan()
    assert told.asked("CreateChangeSet")[0]["ChangeSetType"] == "CREATE"


@pytest.mark.parametrize(
    ("status", "events", "said", "remedy"),
    [
        (
            "UPDATE_ROLLBACK_FAILED",
            FAILED_UPDATE,
            "an update and its rollback failed: Bucket (AWS::S3::Bucket): It cannot be brought back.",
            "continue-update-rollback --stack-name visits-data",
        ),
        (
            "ROLLBACK_FAILED",
            [
                event("Role", "DELETE_FAILED", "Role is in use.", "AWS::IAM::Role"),
                event(STACK, "ROLLBACK_IN_PROGRESS"),
                event("Bucket", "CREATE_FAILED", "Name is taken.", "AWS::S3::Bucket"),
            ],
            "not all of it could be deleted: Role (AWS::IAM::Role): Role is in use.",
            "delete-stack --stack-name visits-data`, and deploy again",
        ),
        (
            "DELETE_FAILED",
            [
                event(STACK, "DELETE_FAILED", "The following resource(s) failed to delete: [Logs]."),
                event("Logs", "DELETE_FAILED", "The bucket you tried to delete is not empty", "AWS::S3::Bucket"),
                event(STACK, "DELETE_IN_PROGRESS", "User Initiated"),
                event("Old", "UPDATE_FAILED", "Long ago", "AWS::S3::Bucket"),
            ],
            "not all of it could be deleted: Logs (AWS::S3::Bucket): The bucket you tried to delete is not empty.",
            "aws cloudformation delete-stack --stack-name visits-data",
        ),
    ],
)
def test_a_state_that_only_a_person_ends_says_what_to_do(
    status: str, events: list[dict[str, Any]], said: str, remedy: str
) -> None:
    told = Told(DescribeStacks=stack(status), DescribeStackEvents={"StackEvents": events})
    with pytest.raises(FailedChangeError) as caught:
        told.plan()
    assert said in caught.value.message
    assert remedy in caught.value.remedy
    assert told.asked("CreateChangeSet") == told.asked("DeleteStack") == []


def test_a_failed_update_says_what_failed_first_in_words_for_the_reader() -> None:
    told = Told(
        DescribeStacks=[
            (0, stack("UPDATE_COMPLETE")),
            (5, stack("UPDATE_IN_PROGRESS")),
            (60, stack("UPDATE_ROLLBACK_COMPLETE")),
        ],
        DescribeStackEvents={"StackEvents": FAILED_UPDATE},
    )
    plan = told.plan()
    assert plan is not None
    told.clock.sleep(5)
    with pytest.raises(FailedChangeError) as caught:
        told.service.execute(plan)
    assert caught.value.message == ("Failed to update the stack visits-data: Bucket (AWS::S3::Bucket): Name is taken.")
    assert caught.value.remedy == "It was rolled back. Fix the cause, and deploy again."


def test_a_failure_in_a_nested_stack_is_told_as_what_failed_inside() -> None:
    outer = [
        event(STACK, "ROLLBACK_COMPLETE"),
        event("Inner", "CREATE_FAILED", "Embedded stack was not created", "AWS::CloudFormation::Stack", NESTED),
        event(STACK, "CREATE_IN_PROGRESS", "User Initiated"),
    ]
    inner = [
        event("Topic", "CREATE_FAILED", "Topic limit reached", "AWS::SNS::Topic"),
        event("inner", "CREATE_IN_PROGRESS", "User Initiated", physical=NESTED),
    ]
    told = Told(
        DescribeStacks=[(0, MISSING), (5, stack("ROLLBACK_COMPLETE"))],
        DescribeStackEvents=[(0, {"StackEvents": outer}), (7, {"StackEvents": inner})],
    )
    told.passes(1, "DescribeStackEvents")
    plan = told.plan()
    assert plan is not None
    told.clock.sleep(5)
    with pytest.raises(
        FailedChangeError,
        match=r"Failed to create the stack visits-data: Topic \(AWS::SNS::Topic\): Topic limit reached\.",
    ):
        told.service.execute(plan)


def test_credentials_that_expire_while_waiting_say_how_to_go_on() -> None:
    told = Told(
        DescribeStacks=[
            (0, stack("UPDATE_COMPLETE")),
            (5, stack("UPDATE_IN_PROGRESS")),
            (30, Refusal("ExpiredToken", "The security token included in the request is expired")),
        ]
    )
    plan = told.plan()
    assert plan is not None
    told.clock.sleep(5)
    with pytest.raises(MlopsError) as caught:
        told.service.execute(plan)
    assert "aws sso login" in caught.value.remedy
    assert "continues in AWS. Run the same command again" in caught.value.remedy


def test_a_change_that_never_ends_is_waited_for_for_hours_and_not_for_ever() -> None:
    told = Told(DescribeStacks=stack("UPDATE_IN_PROGRESS"))
    with pytest.raises(MlopsError, match=f"is not complete after {PATIENCE / 60:g} minutes"):
        told.plan()


def test_a_change_that_is_refused_changes_nothing() -> None:
    def refuse(plan: Plan) -> None:
        raise MlopsError(f"not {plan.stack}")

    told = Told(DescribeStacks=stack("UPDATE_COMPLETE"))
    with pytest.raises(MlopsError, match="not visits-data"):
        told.put(refuse)
    assert len(told.asked("DeleteChangeSet")) == 1
    assert told.asked("ExecuteChangeSet") == told.asked("DeleteStack") == []


def test_only_the_readers_own_rights_make_roles() -> None:
    for role, given in (
        (None, {"Capabilities": ["CAPABILITY_NAMED_IAM"]}),
        (ROLE, {"RoleARN": ROLE}),
    ):
        told = Told(DescribeStacks=stack("UPDATE_COMPLETE"))
        told.service.plan(STACK, TEMPLATE, {}, role=role)
        (asked,) = told.asked("CreateChangeSet")
        assert {key: asked[key] for key in ("Capabilities", "RoleARN") if key in asked} == given


def test_a_template_that_is_too_large_for_a_call_goes_by_the_bucket() -> None:
    large = Template.parse(f"Description: {'x' * 51_200}\nResources: {{}}\n")
    told = Told(DescribeStacks=MISSING, HeadObject=Refusal("404", "Not Found"), PutObject={})
    told.plan(large)
    (uploaded,) = told.asked("PutObject")
    assert (uploaded["Bucket"], uploaded["Body"].read()) == ("data", large.text.encode())
    assert uploaded["Key"].startswith("visits/templates/")
    url = told.asked("CreateChangeSet")[0]["TemplateURL"]
    assert url == f"https://data.s3.eu-west-1.amazonaws.com/{uploaded['Key']}"


def test_a_deletion_that_fails_says_what_stands_in_its_way() -> None:
    told = Told(
        DescribeStacks=[(0, stack("CREATE_COMPLETE")), (5, stack("DELETE_FAILED"))],
        DescribeStackEvents={
            "StackEvents": [
                event("Logs", "DELETE_FAILED", "The bucket you tried to delete is not empty", "AWS::S3::Bucket"),
                event(STACK, "DELETE_IN_PROGRESS", "User Initiated"),
            ]
        },
    )
    told.passes(5, "DeleteStack")
    with pytest.raises(FailedChangeError, match=r"not all of it could be deleted: Logs .*is not empty"):
        told.service.delete(STACK)
