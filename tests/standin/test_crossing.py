"""Calls that reach into another account."""

import io
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import REGION, Cloud, StandInAccount
from standin.deploy import Stack, put
from standin.template import parse
from tests.standin.several_accounts import (
    BUCKET,
    DEV,
    GROUP,
    PRODUCTION,
    STAGING,
    accounts,
    allow,
    policy,
    put_registry,
    role,
    root,
)

SPECIFICATION = {
    "Containers": [{"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/models/1.tar.gz"}],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}
GROUP_ARN = f"arn:aws:sagemaker:{REGION}:{DEV}:model-package-group/{GROUP}"
MODEL = """
Parameters: {Package: {Type: String}, Role: {Type: String}}
Resources:
  Model:
    Type: AWS::SageMaker::Model
    Properties: {ExecutionRoleArn: !Ref Role, PrimaryContainer: {ModelPackageName: !Ref Package}}
"""


class Opened:
    """Dev, which opens its registry to the deployment role of staging, and who tries to get in."""

    def __init__(self, cloud: Cloud) -> None:
        self.dev, self.staging, self.production = accounts(cloud)
        self.deploy = role(self.staging, "visits-deploy")
        self.other = role(self.staging, "visits-scientist")
        self.stranger = role(self.production, "visits-deploy")
        self.key = put_registry(self.dev)["Key"]
        self.dev.client("s3").put_object(Bucket=BUCKET, Key="models/1.tar.gz", Body=b"model")
        self.dev.client("s3").put_object(Bucket=BUCKET, Key="data/1.csv", Body=b"data")
        self.package = self.dev.client("sagemaker").create_model_package(
            ModelPackageGroupName=GROUP, InferenceSpecification=SPECIFICATION, ModelApprovalStatus="Approved"
        )["ModelPackageArn"]

    def refused(self) -> list[tuple[StandInAccount, str]]:
        """Who may do nothing in dev."""
        return [(self.staging, self.other), (self.staging, ""), (self.production, self.stranger)]


@pytest.fixture
def opened(cloud: Cloud) -> Opened:
    return Opened(cloud)


def code(call: Any, **parameters: Any) -> str:
    """The code of the error of a call; empty when it is answered."""
    try:
        call(**parameters)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_a_version_of_another_account_is_read_by_whom_its_group_allows(opened: Opened) -> None:
    client = opened.staging.client("sagemaker", opened.deploy)
    assert client.describe_model_package(ModelPackageName=opened.package)["ModelPackageArn"] == opened.package
    assert client.describe_model_package_group(ModelPackageGroupName=GROUP_ARN)["ModelPackageGroupArn"] == GROUP_ARN
    listed = client.list_model_packages(ModelPackageGroupName=GROUP_ARN)["ModelPackageSummaryList"]
    assert [one["ModelPackageArn"] for one in listed] == [opened.package]
    for account, caller in opened.refused():
        client = account.client("sagemaker", caller)
        assert code(client.describe_model_package, ModelPackageName=opened.package) == "AccessDeniedException"
        assert code(client.describe_model_package_group, ModelPackageGroupName=GROUP_ARN) == "AccessDeniedException"
        assert code(client.list_model_packages, ModelPackageGroupName=GROUP_ARN) == "AccessDeniedException"


def test_what_the_group_does_not_name_is_refused(opened: Opened) -> None:
    client = opened.staging.client("sagemaker", opened.deploy)
    update = {"ModelPackageArn": opened.package, "ModelApprovalStatus": "Rejected"}
    assert code(client.update_model_package, **update) == "AccessDeniedException"
    made = {"ModelPackageGroupName": GROUP_ARN, "InferenceSpecification": SPECIFICATION}
    assert code(client.create_model_package, **made) == "AccessDeniedException"
    described = opened.dev.client("sagemaker").describe_model_package(ModelPackageName=opened.package)
    assert described["ModelApprovalStatus"] == "Approved"


def test_whom_the_group_lets_register_registers_in_the_account_of_the_group(opened: Opened) -> None:
    group = GROUP_ARN.replace(GROUP, "others")
    own = opened.dev.client("sagemaker")
    own.create_model_package_group(ModelPackageGroupName="others")
    packages = group.replace("package-group", "package") + "/*"
    text = policy(allow(root(STAGING), "sagemaker:CreateModelPackage", Resource=packages))
    own.put_model_package_group_policy(ModelPackageGroupName="others", ResourcePolicy=text)
    client = opened.staging.client("sagemaker", opened.other)
    made = client.create_model_package(ModelPackageGroupName=group, InferenceSpecification=SPECIFICATION)
    assert made["ModelPackageArn"] == f"arn:aws:sagemaker:{REGION}:{DEV}:model-package/others/1"


def test_a_model_is_made_of_a_version_of_another_account_by_whom_the_group_allows(opened: Opened) -> None:
    def model(account: StandInAccount, caller: str, package: str) -> str:
        container = {"ModelPackageName": package}
        arn = f"arn:aws:iam::{account.id}:role/visits-serve"
        client = account.client("sagemaker", caller)
        return code(client.create_model, ModelName="one", ExecutionRoleArn=arn, PrimaryContainer=container)

    for account, caller in opened.refused():
        assert model(account, caller, opened.package) == "AccessDeniedException"
    assert model(opened.staging, opened.deploy, opened.package[:-1] + "2") == "ValidationException"
    assert model(opened.staging, opened.deploy, opened.package) == ""


@pytest.mark.parametrize("name", ["visits-deploy", "visits-scientist"])
def test_a_stack_reaches_another_account_as_its_role(opened: Opened, name: str) -> None:
    parameters = {"Package": opened.package, "Role": f"arn:aws:iam::{STAGING}:role/visits-serve"}
    client = opened.staging.client("cloudformation")
    request = {
        "StackName": "model",
        "TemplateBody": MODEL,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "RoleARN": f"arn:aws:iam::{STAGING}:role/{name}",
    }
    if name == "visits-deploy":
        client.create_stack(**request)
    else:
        with pytest.raises(ClientError, match="not authorized to perform: sagemaker:CreateModel"):
            client.create_stack(**request)


def test_an_update_of_a_stack_acts_as_the_role_that_it_names(opened: Opened) -> None:
    body = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "one"}}}}'
    client = opened.staging.client("cloudformation")
    client.create_stack(StackName="model", TemplateBody=body)
    values = {"Package": opened.package, "Role": f"arn:aws:iam::{STAGING}:role/visits-serve"}
    parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    client.update_stack(StackName="model", TemplateBody=MODEL, Parameters=parameters, RoleARN=opened.deploy)
    assert len(opened.staging.client("sagemaker").list_models()["Models"]) == 1


def test_a_stack_reaches_another_account_as_whoever_deploys_it(opened: Opened) -> None:
    parameters = {"Package": opened.package, "Role": f"arn:aws:iam::{STAGING}:role/visits-serve"}
    with pytest.raises(ClientError, match=r"Model: .*user/administrator is not authorized"):
        put(opened.staging, Stack("model", parse(MODEL), parameters))


def test_objects_of_another_account_are_read_by_whom_its_bucket_and_its_key_allow(opened: Opened) -> None:
    client = opened.staging.client("s3", opened.deploy)
    assert client.get_object(Bucket=BUCKET, Key="models/1.tar.gz")["Body"].read() == b"model"
    client.head_object(Bucket=BUCKET, Key="models/1.tar.gz")
    assert code(client.get_object, Bucket=BUCKET, Key="data/1.csv") == "AccessDenied"
    assert code(client.put_object, Bucket=BUCKET, Key="models/2.tar.gz", Body=b"") == "AccessDenied"
    assert code(client.delete_object, Bucket=BUCKET, Key="models/1.tar.gz") == "AccessDenied"
    assert code(client.list_objects_v2, Bucket=BUCKET) == "AccessDenied"
    assert code(client.get_bucket_policy, Bucket=BUCKET) == "AccessDenied"
    assert code(client.head_object, Bucket=BUCKET, Key="data/1.csv") == "403"
    for account, caller in opened.refused():
        client = account.client("s3", caller)
        assert code(client.get_object, Bucket=BUCKET, Key="models/1.tar.gz") == "AccessDenied"


def test_a_copy_out_of_another_account_needs_the_object_and_its_key(opened: Opened) -> None:
    s3 = opened.staging.client("s3")
    s3.create_bucket(Bucket="visits-own", CreateBucketConfiguration={"LocationConstraint": REGION})
    request = {"Bucket": "visits-own", "Key": "one", "CopySource": {"Bucket": BUCKET, "Key": "models/1.tar.gz"}}
    assert code(s3.copy_object, **request) == "AccessDenied"
    opened.staging.client("s3", opened.deploy).copy_object(**request)
    assert s3.get_object(Bucket="visits-own", Key="one")["Body"].read() == b"model"


def test_an_own_bucket_with_a_key_of_another_account_needs_that_key(opened: Opened) -> None:
    s3 = opened.production.client("s3")
    s3.create_bucket(Bucket="visits-foreign", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="visits-foreign", Key="one", Body=b"")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": opened.key}}
    s3.put_bucket_encryption(Bucket="visits-foreign", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert code(s3.get_object, Bucket="visits-foreign", Key="one") == "AccessDenied"


@pytest.mark.parametrize("change", ["no key", "other context"])
def test_a_bucket_is_of_no_use_without_its_key(opened: Opened, change: str) -> None:
    kms = opened.dev.client("kms")
    document = kms.get_key_policy(KeyId=opened.key, PolicyName="default")["Policy"]
    closed = document.replace("kms:Decrypt", "kms:Encrypt") if change == "no key" else document.replace(BUCKET, "other")
    kms.put_key_policy(KeyId=opened.key, PolicyName="default", Policy=closed)
    client = opened.staging.client("s3", opened.deploy)
    assert code(client.get_object, Bucket=BUCKET, Key="models/1.tar.gz") == "AccessDenied"


def test_a_key_of_another_account_is_used_by_whom_its_policy_allows(opened: Opened) -> None:
    kms = opened.dev.client("kms")
    statement = allow(root(STAGING), ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt"], Resource="*")
    own = allow(root(DEV), "kms:*", Resource="*")
    kms.put_key_policy(KeyId=opened.key, PolicyName="default", Policy=policy(own, statement))
    client = opened.staging.client("kms", opened.deploy)
    assert client.describe_key(KeyId=opened.key)["KeyMetadata"]["AWSAccountId"] == DEV
    text = client.encrypt(KeyId=opened.key, Plaintext=b"text")["CiphertextBlob"]
    assert client.decrypt(KeyId=opened.key, CiphertextBlob=text)["Plaintext"] == b"text"
    assert code(client.generate_data_key, KeyId=opened.key, KeySpec="AES_256") == "AccessDeniedException"
    for caller in (opened.production.client("kms"), opened.production.client("kms", opened.stranger)):
        assert code(caller.describe_key, KeyId=opened.key) == "AccessDeniedException"


def test_an_alias_of_another_account_stands_for_its_key(opened: Opened) -> None:
    kms, alias = opened.dev.client("kms"), f"arn:aws:kms:{REGION}:{DEV}:alias/visits-model"
    kms.create_alias(AliasName="alias/visits-model", TargetKeyId=opened.key)
    client = opened.staging.client("kms", opened.deploy)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.describe_key(KeyId=alias)
    own = allow(root(DEV), "kms:*", Resource="*")
    statement = allow(root(STAGING), "kms:DescribeKey", Resource="*")
    kms.put_key_policy(KeyId=opened.key, PolicyName="default", Policy=policy(own, statement))
    assert client.describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == opened.key


def test_queues_topics_and_repositories_are_opened_by_their_policies(opened: Opened) -> None:
    sqs, sns, ecr = (opened.dev.client(service) for service in ("sqs", "sns", "ecr"))
    url = sqs.create_queue(QueueName="letters")["QueueUrl"]
    opened.staging.client("sqs").create_queue(QueueName="letters")  # its own of that name takes nothing
    topic = sns.create_topic(Name="news")["TopicArn"]
    ecr.create_repository(repositoryName="images")
    repository = {"repositoryName": "images", "registryId": DEV}

    def outcomes(caller: str) -> list[str]:
        queue, news, images = (opened.staging.client(service, caller) for service in ("sqs", "sns", "ecr"))
        return [
            code(queue.send_message, QueueUrl=url, MessageBody="one"),
            code(news.publish, TopicArn=topic, Message="one"),
            code(images.list_images, **repository),
        ]

    assert outcomes(opened.deploy) == ["AccessDeniedException", "AuthorizationError", "AccessDeniedException"]
    condition = {"Condition": {"ArnEquals": {"aws:PrincipalArn": opened.deploy}}}
    queue_policy = policy(allow(root(STAGING), "sqs:SendMessage", Resource="*", **condition))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": queue_policy})
    topic_policy = policy(allow(root(STAGING), "sns:Publish", Resource=topic, **condition))
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=topic_policy)
    ecr.set_repository_policy(
        repositoryName="images", policyText=policy(allow(root(STAGING), "ecr:ListImages", **condition))
    )
    assert outcomes(opened.deploy) == ["", "", ""]
    assert outcomes(opened.other) == ["AccessDeniedException", "AuthorizationError", "AccessDeniedException"]
    assert len(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]) == 1


def test_the_code_of_a_function_comes_from_a_bucket_that_its_maker_may_read(opened: Opened) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.py", "def handler(event, context): return 1")
    opened.dev.client("s3").put_object(Bucket=BUCKET, Key="models/code.zip", Body=archive.getvalue())
    request = {
        "FunctionName": "one",
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": opened.deploy,
        "Code": {"S3Bucket": BUCKET, "S3Key": "models/code.zip"},
    }
    assert code(opened.staging.client("lambda").create_function, **request) == "AccessDeniedException"
    opened.staging.client("lambda", opened.deploy).create_function(**request)
    update = {"FunctionName": "one", "S3Bucket": BUCKET, "S3Key": "models/code.zip"}
    assert code(opened.staging.client("lambda").update_function_code, **update) == "AccessDeniedException"


def test_an_account_is_not_entered_with_a_role_of_another(opened: Opened) -> None:
    with pytest.raises(ValueError, match="not a role of the account"):
        opened.dev.client("s3", opened.deploy)
    assert opened.stranger.split(":")[4] == PRODUCTION
