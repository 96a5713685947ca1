import copy
import json
from collections.abc import Iterator
from string import Formatter
from typing import Any

import pytest

from standin.account import StandInAccount
from standin.calls import Call
from standin.iam import RolePolicies, role_policies
from standin.needs import Need, handler_permissions, keys, needs
from standin.policies import findings
from standin.service_side import SERVICE_SIDE, service_needs

PROJECT, ID, ACCOUNT = "visits", "p-0123456789ab", "123456789012"
NAME = f"sagemaker-{PROJECT}-{ID}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-deploy"
SERVING = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-serve"
BUCKET = f"arn:aws:s3:::{NAME}-models"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
LOGS = f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/aws/lambda/{NAME}"


def statement(action: str, resource: str, **condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [action],
        "Resource": [resource],
        **({"Condition": condition} if condition else {}),
    }


def call(service: str, operation: str, passed: tuple[str, ...] = (), **parameters: Any) -> Call:
    return Call(ROLE, service, operation, parameters, "eu-west-1", passed)


SOUND = {
    "Version": "2012-10-17",
    "Statement": [
        statement("s3:GetObject", f"{BUCKET}/live/*"),
        statement("s3:PutObject", f"{BUCKET}/live/*"),
        statement("kms:Decrypt", KEY, StringEquals={"kms:ViaService": "s3.eu-west-1.amazonaws.com"}),
        statement("kms:GenerateDataKey", KEY, StringLike={"kms:ViaService": "s3.*.amazonaws.com"}),
        statement("sagemaker:CreateModel", f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model/{NAME}-*"),
        statement("iam:PassRole", SERVING, StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"}),
        statement("ssm:GetParameter", f"arn:aws:ssm:*:${{aws:PrincipalAccount}}:parameter/{NAME}/*"),
        statement("codepipeline:StartPipelineExecution", f"arn:aws:codepipeline:eu-west-1:{ACCOUNT}:{NAME}"),
        statement("cloudwatch:PutMetricData", "*", StringEquals={"aws:RequestedRegion": ["eu-west-1"]}),
        statement("logs:CreateLogStream", f"{LOGS}:log-stream:*"),
        statement("logs:PutLogEvents", f"{LOGS}:log-stream:*"),
    ],
}
CALLS = [
    call("s3", "HeadObject", Bucket=f"{NAME}-models", Key="live/model.tar.gz"),
    call("s3", "CreateMultipartUpload", Bucket=f"{NAME}-models", Key="live/report.json"),
    call("sagemaker", "CreateModel", passed=(SERVING,), ModelName=f"{NAME}-1", ExecutionRoleArn=SERVING),
    call("ssm", "GetParameter", Name=f"/{NAME}/bucket"),
    call("codepipeline", "StartPipelineExecution", name=NAME),
    call("monitoring", "PutMetricData", Namespace="visits"),
    call("sts", "GetCallerIdentity"),
]


def needed() -> list[Need]:
    logs = service_needs("lambda logs", region="eu-west-1", account=ACCOUNT, log_group=f"/aws/lambda/{NAME}")
    return [*needs(CALLS, {BUCKET: KEY}), *logs]


def judged(document: dict[str, Any], wanted: list[Need] | None = None) -> list[str]:
    own = (PROJECT, ID, ACCOUNT)
    return [finding.what for finding in findings("deploy", RolePolicies([document]), wanted or needed(), own)]


def test_a_role_that_may_do_what_it_needs_and_nothing_more_has_no_findings() -> None:
    assert judged(SOUND) == []


@pytest.mark.parametrize("removed", range(len(SOUND["Statement"])))
def test_each_permission_that_is_removed_is_missed(removed: int) -> None:
    document = copy.deepcopy(SOUND)
    action = document["Statement"].pop(removed)["Action"][0]  # type: ignore[attr-defined]
    assert any(f"needs {action} on" in what for what in judged(document))


def widened() -> Iterator[Any]:
    """The sound policy with each action and each resource opened at every place that a wildcard can stand."""
    for index, written in enumerate(SOUND["Statement"]):
        assert isinstance(written, dict)
        action, resource = written["Action"][0], written["Resource"][0]
        service, _, name = action.partition(":")
        actions = [f"{service}:*", f"{service}:{name[:3]}*", "*"]
        parts = resource.split(":", 5)
        resources = [] if resource == "*" else ["*", resource.replace(PROJECT, "*"), resource.replace(ID, "*")]
        if len(parts) == 6 and parts[4]:
            resources.append(":".join([*parts[:4], "*", parts[5]]))
        for element, patterns in (("Action", actions), ("Resource", resources)):
            for pattern in sorted({*patterns} - {action, resource}):
                yield pytest.param(index, {element: [pattern]}, id=f"{action} {pattern}")
        if "Condition" in written and action == "iam:PassRole":
            yield pytest.param(index, {"Condition": {}}, id="PassRole to any service")


@pytest.mark.parametrize(("index", "change"), list(widened()))
def test_each_widened_wildcard_is_found(index: int, change: dict[str, Any]) -> None:
    document: Any = copy.deepcopy(SOUND)
    document["Statement"][index].update(change)
    assert judged(document)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (statement("sagemaker:CreateModle", "*"), "sagemaker:CreateModle is no action of IAM"),
        (statement("sqs:SendMessage", f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{NAME}"), "nothing needs sqs:SendMessage on"),
        (statement("s3:GetObject", f"{BUCKET}-old/*"), f"nothing is done to {BUCKET}-old/*"),
        ({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}, "allows everything but something"),
        ({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, "needs s3:GetObject on"),
    ],
)
def test_a_statement_too_many_is_found(extra: dict[str, Any], said: str) -> None:
    document: Any = copy.deepcopy(SOUND)
    document["Statement"].append(extra)
    assert any(said in what for what in judged(document))


def test_a_boundary_takes_away_what_it_does_not_allow() -> None:
    boundary = {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    policies = RolePolicies([SOUND], boundary)
    found = [finding.what for finding in findings("deploy", policies, needed(), (PROJECT,))]
    assert any("sagemaker:CreateModel" in what for what in found)
    assert not any("s3:GetObject" in what for what in found)


def test_an_operation_without_an_action_of_its_name_is_an_error_and_not_passed_over() -> None:
    with pytest.raises(ValueError, match="there is no IAM action s3:GetObjectLockConfiguration"):
        needs([call("s3", "GetObjectLockConfiguration", Bucket="one")])


def test_a_copy_needs_its_source_and_its_target() -> None:
    copied = needs([call("s3", "CopyObject", Bucket="one", Key="two", CopySource={"Bucket": "three", "Key": "four"})])
    assert [(need.action, need.resource) for need in copied] == [
        ("s3:PutObject", "arn:aws:s3:::one/two"),
        ("s3:GetObject", "arn:aws:s3:::three/four"),
    ]


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"a": ["x", "y"]}}, {"A": "y"}, True),
        ({"StringEquals": {"a": "x"}}, {}, False),
        ({"StringEqualsIfExists": {"a": "x"}}, {}, True),
        ({"StringNotEquals": {"a": "x"}}, {}, True),
        ({"StringNotEquals": {"a": ["x", "y"]}}, {"a": "y"}, False),
        ({"StringLike": {"a": "x*z"}}, {"a": "xyz"}, True),
        ({"StringLike": {"a": "x${*}z"}}, {"a": "xyz"}, False),
        ({"StringEquals": {"a": "${b}"}}, {"a": "x", "b": "x"}, True),
        ({"ArnLike": {"a": "arn:aws:iam::*:role/x-*"}}, {"a": "arn:aws:iam::1:role/x-y/z"}, True),
        ({"ArnLike": {"a": "arn:aws:*"}}, {"a": "arn:aws:iam::1:role/x"}, False),
        ({"ArnNotLike": {"a": "arn:aws:iam::1:role/*"}}, {"a": "arn:aws:iam::1:role/x"}, False),
        ({"Bool": {"a": "false"}}, {"a": False}, True),
        ({"Bool": {"a": True}}, {"a": False}, False),
        ({"Null": {"a": "true"}}, {}, True),
        ({"Null": {"a": "false"}}, {}, False),
        ({"ForAnyValue:StringEquals": {"a": ["x"]}}, {"a": ["w", "x"]}, True),
        ({"ForAnyValue:StringEquals": {"a": ["x"]}}, {}, False),
        ({"ForAllValues:StringEquals": {"a": ["x"]}}, {"a": ["w", "x"]}, False),
        ({"ForAllValues:StringEquals": {"a": ["x"]}}, {}, True),
        ({"NumericLessThan": {"a": "5"}}, {"a": 4}, True),
        ({"StringEquals": {"a": "x"}, "Bool": {"b": "true"}}, {"a": "x", "b": False}, False),
    ],
)
def test_conditions_hold_as_iam_says(condition: dict[str, Any], context: dict[str, Any], holds: bool) -> None:
    document = {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": condition}}
    assert RolePolicies([document]).allow("s3:GetObject", "arn:aws:s3:::one/two", context) is holds


def test_a_condition_operator_that_is_not_known_is_an_error() -> None:
    document = {"Statement": [statement("s3:GetObject", "*", IpAddress={"aws:SourceIp": "10.0.0.0/8"})]}
    with pytest.raises(ValueError, match="IpAddress is not known"):
        RolePolicies([document]).allow("s3:GetObject", "*", {"aws:SourceIp": "10.0.0.1"})


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("arn:aws:s3:::one*", "arn:aws:s3:::one/two:three", True),
        ("arn:aws:*:model/x", "arn:aws:sagemaker:eu-west-1:1:model/x", False),
        ("arn:aws:sagemaker:*:1:model/?", "arn:aws:sagemaker:eu-west-1:1:model/x", True),
        ("arn:aws:sagemaker:eu-west-1:1:model/x", "arn:aws:sagemaker:eu-west-1:1:model/X", False),
    ],
)
def test_resources_match_part_by_part(pattern: str, resource: str, matches: bool) -> None:
    document = {"Statement": [statement("sagemaker:createmodel", pattern)]}
    assert RolePolicies([document]).allow("sagemaker:CreateModel", resource, {}) is matches


def test_policies_and_keys_are_read_from_what_is_deployed(account: StandInAccount) -> None:
    iam, s3, kms = account.client("iam"), account.client("s3"), account.client("kms")
    allows = json.dumps({"Version": "2012-10-17", "Statement": [statement("s3:GetObject", "*")]})
    refuses = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
    )
    role = iam.create_role(RoleName="one", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    iam.put_role_policy(RoleName="one", PolicyName="inline", PolicyDocument=allows)
    assert role_policies(iam, role).allow("s3:GetObject", "*", {})
    managed = iam.create_policy(PolicyName="managed", PolicyDocument=refuses)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="one", PolicyArn=managed)
    assert not role_policies(iam, role).allow("s3:GetObject", "*", {})
    iam.detach_role_policy(RoleName="one", PolicyArn=managed)
    iam.put_role_permissions_boundary(RoleName="one", PermissionsBoundary=managed)
    assert not role_policies(iam, role).allow("s3:GetObject", "*", {})

    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="one", CreateBucketConfiguration={"LocationConstraint": account.region})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    s3.put_bucket_encryption(Bucket="one", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert keys(account) == {"arn:aws:s3:::one": key}


def test_what_cloudformation_needs_for_a_type_is_read_from_its_schema() -> None:
    actions = handler_permissions(["AWS::SageMaker::ModelPackageGroup"])
    assert {"sagemaker:CreateModelPackageGroup", "sagemaker:PutModelPackageGroupPolicy"} <= actions
    assert "sagemaker:CreateEndpoint" not in actions


@pytest.mark.parametrize("feature", SERVICE_SIDE)
def test_what_services_do_as_a_role_names_actions_that_exist(feature: str) -> None:
    row = SERVICE_SIDE[feature]
    texts = [*(resource for _, resource in row.needs), *row.context.values()]
    names = {name: "one" for text in texts for _, name, _, _ in Formatter().parse(text) if name}
    wanted = service_needs(feature, **names)
    passed = {"StringEquals": {"iam:PassedToService": row.context.get("iam:PassedToService")}}
    document = {
        "Statement": [
            statement(need.action, need.resource, **(passed if need.action == "iam:PassRole" else {}))
            for need in wanted
        ]
    }
    assert judged(document, wanted) == []
