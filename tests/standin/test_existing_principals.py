"""Policies that name principals which are not there."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import ACCOUNT, REGION, StandInAccount
from tests.standin.several_accounts import allow, policy

OTHER = "210987654321"
SERVICES: dict[str, Callable[[StandInAccount, dict[str, str]], Any]] = {
    "bucket": lambda account, who: account.client("s3").put_bucket_policy(
        Bucket="visits", Policy=policy(allow(who, "s3:GetObject", Resource="arn:aws:s3:::visits/*"))
    ),
    "new key": lambda account, who: account.client("kms").create_key(
        Policy=policy(allow(who, "kms:Decrypt", Resource="*"))
    ),
    "key": lambda account, who: account.client("kms").put_key_policy(
        KeyId=account.client("kms").list_keys()["Keys"][0]["KeyId"],
        PolicyName="default",
        Policy=policy(allow(who, "kms:Decrypt", Resource="*")),
    ),
    "queue": lambda account, who: account.client("sqs").set_queue_attributes(
        QueueUrl=account.client("sqs").get_queue_url(QueueName="visits")["QueueUrl"],
        Attributes={"Policy": policy(allow(who, "sqs:SendMessage", Resource="*"))},
    ),
    "new queue": lambda account, who: account.client("sqs").create_queue(
        QueueName="another", Attributes={"Policy": policy(allow(who, "sqs:SendMessage", Resource="*"))}
    ),
    "topic": lambda account, who: account.client("sns").set_topic_attributes(
        TopicArn=f"arn:aws:sns:{REGION}:{ACCOUNT}:visits",
        AttributeName="Policy",
        AttributeValue=policy(allow(who, "sns:Publish", Resource="*")),
    ),
    "repository": lambda account, who: account.client("ecr").set_repository_policy(
        repositoryName="visits", policyText=policy(allow(who, "ecr:BatchGetImage"))
    ),
    "event bus": lambda account, who: account.client("events").put_permission(
        Policy=policy(allow(who, "events:PutEvents", Resource="*", Sid="one"))
    ),
    "group": lambda account, who: account.client("sagemaker").put_model_package_group_policy(
        ModelPackageGroupName="visits", ResourcePolicy=policy(allow(who, "sagemaker:CreateModel", Resource="*"))
    ),
    "role": lambda account, who: account.client("iam").create_role(
        RoleName="another", AssumeRolePolicyDocument=policy(allow(who, "sts:AssumeRole"))
    ),
    "trust": lambda account, who: account.client("iam").update_assume_role_policy(
        RoleName="visits", PolicyDocument=policy(allow(who, "sts:AssumeRole"))
    ),
    "function": lambda account, who: account.client("lambda").add_permission(
        FunctionName="visits", StatementId="one", Action="lambda:InvokeFunction", Principal=who["AWS"]
    ),
}


@pytest.fixture
def filled(account: StandInAccount) -> StandInAccount:
    """An account with one thing of each kind that a policy is attached to."""
    client = account.client
    client("s3").create_bucket(Bucket="visits", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("kms").create_key()
    client("sqs").create_queue(QueueName="visits")
    client("sns").create_topic(Name="visits")
    client("ecr").create_repository(repositoryName="visits")
    client("sagemaker").create_model_package_group(ModelPackageGroupName="visits")
    trust = policy(allow({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole"))
    role = client("iam").create_role(RoleName="visits", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="visits", Runtime="python3.13", Role=role, Handler="index.handler", Code={"ZipFile": b"code"}
    )
    account.cloud.account(OTHER).client("iam").create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)
    return account


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize(
    "missing",
    [
        f"arn:aws:iam::{ACCOUNT}:role/missing",
        f"arn:aws:iam::{OTHER}:role/visits",
        f"arn:aws:iam::{ACCOUNT}:user/visits",
        f"arn:aws:iam::{ACCOUNT}:role/vis*",
    ],
)
def test_a_principal_that_does_not_exist_is_refused(filled: StandInAccount, kind: str, missing: str) -> None:
    with pytest.raises(ClientError) as caught:
        SERVICES[kind](filled, {"AWS": missing})
    assert caught.value.response["Error"]["Code"] in (
        *("InvalidAttributeValue", "InvalidParameter", "InvalidParameterException", "InvalidParameterValueException"),
        *("MalformedPolicy", "MalformedPolicyDocument", "MalformedPolicyDocumentException", "ValidationException"),
    )


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize(
    "there",
    [
        f"arn:aws:iam::{ACCOUNT}:role/visits",
        f"arn:aws:iam::{OTHER}:role/theirs",
        f"arn:aws:sts::{OTHER}:assumed-role/theirs/session",
        "arn:aws:iam::999999999999:root",
        "999999999999",
    ],
)
def test_a_role_that_exists_and_any_account_are_accepted(filled: StandInAccount, kind: str, there: str) -> None:
    SERVICES[kind](filled, {"AWS": there})


def test_a_policy_of_a_group_is_read_back_and_taken_away(filled: StandInAccount) -> None:
    SERVICES["group"](filled, {"AWS": OTHER})
    sagemaker = filled.client("sagemaker")
    text = sagemaker.get_model_package_group_policy(ModelPackageGroupName="visits")["ResourcePolicy"]
    assert json.loads(text)["Statement"][0]["Principal"] == {"AWS": OTHER}
    sagemaker.delete_model_package_group_policy(ModelPackageGroupName="visits")
    with pytest.raises(ClientError):
        sagemaker.get_model_package_group_policy(ModelPackageGroupName="visits")
