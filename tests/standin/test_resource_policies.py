"""What identity-based and resource-based policies allow together, within an account and across accounts."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from standin.account import REGION
from standin.calls import Call
from standin.iam import RolePolicies
from standin.needs import Need
from standin.policies import findings
from standin.resource_policies import ResourcePolicies, Verdict, verdict
from tests.standin.several_accounts import DEV, PRODUCTION, STAGING, allow, root

ROLE = f"arn:aws:iam::{STAGING}:role/visits-deploy"
BUCKET = "arn:aws:s3:::visits-models"
KEY = f"arn:aws:kms:{REGION}:{DEV}:key/00000000-0000-4000-8000-000000000000"
GROUP = f"arn:aws:sagemaker:{REGION}:{DEV}:model-package-group/visits"
VERSIONS = GROUP.replace("package-group", "package")
ENTRANCE = f"arn:aws:iam::{PRODUCTION}:role/visits-deploy"
QUEUE, TOPIC, BUS = (
    f"arn:aws:{kind}:{REGION}:{DEV}:{name}"
    for kind, name in (("sqs", "letters"), ("sns", "news"), ("events", "event-bus/default"))
)
REPOSITORY = f"arn:aws:ecr:{REGION}:{DEV}:repository/visits"
FUNCTION = f"arn:aws:lambda:{REGION}:{DEV}:function:visits"
OURS = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/visits-deploy"}}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def to_staging(
    action: str | list[str], resource: str = "*", condition: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return document(allow(root(STAGING), action, Resource=resource, Condition={**OURS, **(condition or {})}))


THROUGH_S3 = {
    "StringEquals": {
        "kms:ViaService": f"s3.{REGION}.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": BUCKET,
        "kms:CallerAccount": STAGING,
    }
}
OPEN = {
    BUCKET: to_staging("s3:GetObject", f"{BUCKET}/models/*"),
    KEY: to_staging("kms:Decrypt", condition=THROUGH_S3),
    GROUP: to_staging(
        ["sagemaker:CreateModel", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"], f"{VERSIONS}/*"
    ),
    ENTRANCE: document(allow(root(STAGING), "sts:AssumeRole", Condition=OURS)),
    QUEUE: to_staging("sqs:SendMessage"),
    TOPIC: to_staging("sns:Publish"),
    BUS: to_staging("events:PutEvents"),
    REPOSITORY: document(allow(root(STAGING), "ecr:BatchGetImage", Condition=OURS)),
    FUNCTION: document(allow({"AWS": ROLE}, "lambda:InvokeFunction", Resource=FUNCTION)),
}
RESOURCES = ResourcePolicies(OPEN, {BUCKET: DEV}, {BUCKET: KEY}, frozenset({BUCKET}))


def call(service: str, operation: str, **parameters: Any) -> Call:
    return Call(ROLE, service, operation, parameters, REGION)


CALLS = [
    call("s3", "GetObject", Bucket="visits-models", Key="models/1.tar.gz"),
    call("sagemaker", "DescribeModelPackage", ModelPackageName=f"{VERSIONS}/1"),
    call("sagemaker", "ListModelPackages", ModelPackageGroupName=GROUP),
    call("sagemaker", "CreateModel", ModelName="visits", PrimaryContainer={"ModelPackageName": f"{VERSIONS}/1"}),
    call("sts", "AssumeRole", RoleArn=ENTRANCE, RoleSessionName="one"),
    call("sqs", "SendMessage", QueueUrl=f"https://sqs.{REGION}.amazonaws.com/{DEV}/letters", MessageBody="one"),
    call("sns", "Publish", TopicArn=TOPIC, Message="one"),
    call("events", "PutEvents", Entries=[{"EventBusName": BUS, "Source": "visits"}]),
    call("ecr", "BatchGetImage", registryId=DEV, repositoryName="visits", imageIds=[]),
    call("lambda", "Invoke", FunctionName=FUNCTION),
]
OWN = {
    "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in (
            ("s3:GetObject", f"{BUCKET}/models/*"),
            ("kms:Decrypt", KEY),
            ("sagemaker:DescribeModelPackage", f"{VERSIONS}/*"),
            ("sagemaker:ListModelPackages", "*"),
            ("sagemaker:CreateModel", f"{VERSIONS}/*"),
            ("sagemaker:CreateModel", f"arn:aws:sagemaker:{REGION}:{STAGING}:model/visits"),
            ("sts:AssumeRole", ENTRANCE),
            ("sqs:SendMessage", QUEUE),
            ("sns:Publish", TOPIC),
            ("events:PutEvents", BUS),
            ("ecr:BatchGetImage", REPOSITORY),
            ("lambda:InvokeFunction", FUNCTION),
        )
    ]
}
NEEDS = RESOURCES.needs(CALLS)


def judged(resources: ResourcePolicies = RESOURCES, own: Any = OWN, role: str = ROLE) -> list[str]:
    return [finding.what for finding in findings(role, RolePolicies([own]), NEEDS, (DEV, STAGING), resources)]


def test_what_both_sides_allow_is_allowed() -> None:
    assert judged() == []


def test_needs_are_in_the_accounts_of_their_resources() -> None:
    assert {need.resource for need in NEEDS} >= {QUEUE, BUS, REPOSITORY, KEY, ENTRANCE, f"{VERSIONS}/1"}
    assert {need.context["aws:ResourceAccount"] for need in NEEDS} == {DEV, STAGING, PRODUCTION}


@pytest.mark.parametrize("resource", OPEN)
def test_a_resource_that_its_policy_does_not_open_is_missed(resource: str) -> None:
    closed = ResourcePolicies({**OPEN, resource: document()}, RESOURCES.owners, RESOURCES.keys, RESOURCES.bucket_keys)
    found = judged(closed)
    assert found
    assert all(f"which the policy of {resource} does not allow" in what for what in found)


@pytest.mark.parametrize("resource", OPEN)
def test_a_deny_of_the_resource_wins(resource: str) -> None:
    closed: Any = copy.deepcopy(OPEN)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    closed[resource]["Statement"].append(deny)
    assert judged(ResourcePolicies(closed, RESOURCES.owners, RESOURCES.keys, RESOURCES.bucket_keys))


@pytest.mark.parametrize("removed", range(len(OWN["Statement"])))
def test_what_the_own_policies_do_not_allow_is_missed(removed: int) -> None:
    statements = [each for index, each in enumerate(OWN["Statement"]) if index != removed]
    assert any("which is not allowed" in what for what in judged(own={"Statement": statements}))


def test_another_role_of_the_same_account_is_shut_out() -> None:
    found = judged(role=ROLE.replace("visits-deploy", "visits-scientist"))
    assert len(found) == len([need for need in NEEDS if f":{STAGING}:model/" not in need.resource])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kms:ViaService", "sqs.eu-west-1.amazonaws.com"),
        ("kms:EncryptionContext:aws:s3:arn", f"{BUCKET}/models/1.tar.gz"),
        ("kms:CallerAccount", PRODUCTION),
        ("aws:PrincipalOrgID", "o-1"),
    ],
)
def test_each_condition_of_a_key_is_looked_at(key: str, value: str) -> None:
    documents = {**OPEN, KEY: to_staging("kms:Decrypt", condition={"StringEquals": {key: value}})}
    assert judged(ResourcePolicies(documents, RESOURCES.owners, RESOURCES.keys, RESOURCES.bucket_keys))


def test_without_a_bucket_key_the_context_is_the_object() -> None:
    needed = ResourcePolicies(OPEN, RESOURCES.owners, RESOURCES.keys).needs(CALLS)
    found = findings(ROLE, RolePolicies([OWN]), needed, (DEV, STAGING), RESOURCES)
    assert any(f"the policy of {KEY} does not allow" in finding.what for finding in found)


def test_a_bucket_that_does_not_exist_is_found() -> None:
    assert any("there is no bucket" in what for what in judged(ResourcePolicies(OPEN)))


def test_images_of_public_accounts_need_the_own_policies_alone() -> None:
    resource = f"arn:aws:ecr:{REGION}:141502667606:repository/sagemaker-xgboost"
    need = Need("ecr:BatchGetImage", resource, "image")
    own = RolePolicies([{"Statement": [{"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": resource}]}])
    assert not ResourcePolicies({}).allow(ROLE, own, need)
    assert ResourcePolicies({}, public=frozenset({"141502667606"})).allow(ROLE, own, need)
    assert not ResourcePolicies({}, public=frozenset({"141502667606"})).allow(ROLE, RolePolicies([]), need)


NOTHING = RolePolicies([])
EVERYTHING = RolePolicies([{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}])
BOUNDED = RolePolicies([], {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
DENIED = RolePolicies([{"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}])
OWN_KEY = KEY.replace(DEV, STAGING)
OWN_QUEUE = QUEUE.replace(DEV, STAGING)
OWN_ROLE = ENTRANCE.replace(PRODUCTION, STAGING)


@pytest.mark.parametrize(
    ("resource", "action", "statements", "own", "allowed"),
    [
        (OWN_QUEUE, "sqs:SendMessage", [], EVERYTHING, True),
        (OWN_QUEUE, "sqs:SendMessage", [], NOTHING, False),
        (OWN_QUEUE, "sqs:SendMessage", [allow({"AWS": ROLE}, "sqs:*", Resource="*")], NOTHING, True),
        (OWN_QUEUE, "sqs:SendMessage", [allow({"AWS": ROLE}, "sqs:*", Resource="*")], BOUNDED, False),
        (OWN_QUEUE, "sqs:SendMessage", [allow({"AWS": ROLE}, "sqs:*", Resource="*")], DENIED, False),
        (OWN_QUEUE, "sqs:SendMessage", [allow(root(STAGING), "sqs:*", Resource="*")], NOTHING, False),
        (OWN_KEY, "kms:Decrypt", [], EVERYTHING, False),
        (OWN_KEY, "kms:Decrypt", [allow(root(STAGING), "kms:*", Resource="*")], EVERYTHING, True),
        (OWN_KEY, "kms:Decrypt", [allow(root(STAGING), "kms:*", Resource="*")], NOTHING, False),
        (OWN_KEY, "kms:Decrypt", [allow(root(DEV), "kms:*", Resource="*")], EVERYTHING, False),
        (OWN_KEY, "kms:Decrypt", [allow({"AWS": ROLE}, "kms:*", Resource="*")], NOTHING, True),
        (OWN_ROLE, "sts:AssumeRole", [], EVERYTHING, False),
        (OWN_ROLE, "sts:AssumeRole", [allow(root(STAGING), "sts:AssumeRole")], EVERYTHING, True),
        (OWN_ROLE, "sts:AssumeRole", [allow(root(STAGING), "sts:AssumeRole")], NOTHING, False),
        (OWN_ROLE, "iam:PassRole", [], EVERYTHING, True),
        (QUEUE, "sqs:SendMessage", [], EVERYTHING, False),
        (QUEUE, "sqs:SendMessage", [allow({"AWS": ROLE}, "sqs:*", Resource="*")], NOTHING, False),
        (QUEUE, "sqs:SendMessage", [allow("*", "sqs:*", Resource="*")], EVERYTHING, True),
        (ENTRANCE, "iam:PassRole", [allow(root(STAGING), "sts:AssumeRole")], EVERYTHING, False),
    ],
)
def test_within_an_account_one_side_is_enough_except_for_keys_and_roles(
    resource: str, action: str, statements: list[Any], own: RolePolicies, allowed: bool
) -> None:
    resources = ResourcePolicies({resource: document(*statements)})
    assert resources.allow(ROLE, own, Need(action, resource, "test")) is allowed


@pytest.mark.parametrize(
    ("condition", "context", "said"),
    [
        ({}, {}, Verdict.PRINCIPAL),
        ({"StringEquals": {"aws:SourceAccount": DEV}}, {"aws:SourceAccount": DEV}, Verdict.PRINCIPAL),
        ({"StringEquals": {"aws:SourceAccount": DEV}}, {"aws:SourceAccount": STAGING}, Verdict.SILENT),
        ({"StringEquals": {"aws:SourceAccount": DEV}}, {}, Verdict.SILENT),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:events:*:{DEV}:rule/*"}}, {"aws:SourceArn": BUS}, Verdict.SILENT),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, {}, Verdict.PRINCIPAL),
    ],
)
def test_a_service_is_let_in_by_its_name(condition: Any, context: Any, said: Verdict) -> None:
    opened = document(allow({"Service": "events.amazonaws.com"}, "sqs:SendMessage", Resource="*", Condition=condition))
    assert verdict(opened, "events.amazonaws.com", "sqs:SendMessage", QUEUE, context) is said
    assert verdict(opened, "sns.amazonaws.com", "sqs:SendMessage", QUEUE, context) is Verdict.SILENT


def test_a_statement_without_principal_is_an_error() -> None:
    written = document({"Effect": "Deny", "NotPrincipal": {"AWS": ROLE}, "Action": "*", "Resource": "*"})
    with pytest.raises(ValueError, match="has no Principal"):
        verdict(written, ROLE, "sqs:SendMessage", QUEUE, {})
