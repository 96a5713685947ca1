"""Accounts beside each other, and states of them that are gone back to."""

import io
import json
import zipfile
from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.awslambda.models import lambda_backends

from standin.account import ACCOUNT, REGION, Cloud, StandInAccount
from standin.deploy import Stack, delete, outputs, put
from standin.template import parse

OTHER = "210987654321"
TOPIC = """
Parameters: {Name: {Type: String}}
Resources:
  Topic: {Type: "AWS::SNS::Topic", Properties: {TopicName: !Ref Name}}
Outputs: {Arn: {Value: !Ref Topic}}
"""


def stack(name: str) -> Stack:
    return Stack("topics", parse(TOPIC), {"Name": name})


def topics(account: StandInAccount) -> list[str]:
    return [topic["TopicArn"] for topic in account.client("sns").list_topics()["Topics"]]


def test_each_account_knows_its_number_and_holds_its_own(cloud: Cloud) -> None:
    ours, theirs = cloud.account(), cloud.account(OTHER)
    for account in (ours, theirs):
        assert account.client("sts").get_caller_identity()["Account"] == account.id
        put(account, stack(f"of-{account.id}"))
        assert outputs(account, "topics") == {"Arn": f"arn:aws:sns:{REGION}:{account.id}:of-{account.id}"}
    assert topics(ours) == [f"arn:aws:sns:{REGION}:{ACCOUNT}:of-{ACCOUNT}"]
    assert topics(theirs) == [f"arn:aws:sns:{REGION}:{OTHER}:of-{OTHER}"]
    delete(theirs, "topics")
    assert (len(topics(ours)), topics(theirs)) == (1, [])


def test_what_moto_lacks_belongs_to_an_account_too(cloud: Cloud) -> None:
    ours, theirs = cloud.account(), cloud.account(OTHER)
    made = {
        account.id: account.client("codeconnections").create_connection(ProviderType="GitHub", ConnectionName="code")
        for account in (ours, theirs)
    }
    assert [answer["ConnectionArn"].split(":")[4] for answer in made.values()] == [ACCOUNT, OTHER]
    ours.client("codeconnections").delete_connection(ConnectionArn=made[ACCOUNT]["ConnectionArn"])
    theirs.client("codeconnections").get_connection(ConnectionArn=made[OTHER]["ConnectionArn"])
    group = "models"
    theirs.client("sagemaker").create_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError):
        ours.client("sagemaker").get_model_package_group_policy(ModelPackageGroupName=group)


def test_whoever_assumes_a_role_of_another_account_is_in_that_account(cloud: Cloud) -> None:
    ours, theirs = cloud.account(), cloud.account(OTHER)
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    role = theirs.client("iam").create_role(
        RoleName="visitor", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    given = ours.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)
    sagemaker = session.client("sagemaker", endpoint_url=cloud.endpoint)
    sagemaker.create_model_package_group(ModelPackageGroupName="models")
    sagemaker.put_model_package_group_policy(ModelPackageGroupName="models", ResourcePolicy="{}")
    groups = "list_model_package_groups"
    assert getattr(ours.client("sagemaker"), groups)()["ModelPackageGroupSummaryList"] == []
    assert len(getattr(theirs.client("sagemaker"), groups)()["ModelPackageGroupSummaryList"]) == 1


@pytest.fixture
def prepared() -> list[str]:
    return []


def fill(cloud: Cloud, calls: list[str]) -> str:
    """Put something of every kind of keeping into two accounts."""
    calls.append("called")
    for account in (cloud.account(), cloud.account(OTHER)):
        put(account, stack("first"))
        s3 = account.client("s3")
        s3.create_bucket(Bucket=f"b-{account.id}", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=f"b-{account.id}", Key="key", Body=b"before")
        account.client("ssm").put_parameter(Name="/live", Value="1", Type="String")
        account.client("codeconnections").create_connection(ProviderType="GitHub", ConnectionName="code")
    return "returned"


def content(account: StandInAccount) -> bytes:
    body: io.BytesIO = account.client("s3").get_object(Bucket=f"b-{account.id}", Key="key")["Body"]
    return body.read()


@pytest.fixture
def moment(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[str]:
    """A name for a state, which is not kept for other tests."""
    yield request.node.nodeid
    cloud.forget()


def test_a_state_is_made_once_and_gone_back_to_whatever_was_done_to_it(
    cloud: Cloud, prepared: list[str], moment: str
) -> None:
    for _ in range(3):
        assert cloud.once(moment, lambda: fill(cloud, prepared)) == "returned"
        for account in (cloud.account(), cloud.account(OTHER)):
            assert content(account) == b"before"
            assert topics(account) == [f"arn:aws:sns:{REGION}:{account.id}:first"]
            assert account.client("ssm").get_parameter(Name="/live")["Parameter"]["Value"] == "1"
            account.client("s3").put_object(Bucket=f"b-{account.id}", Key="key", Body=b"after")
            put(account, stack("second"))  # the stack of the state can be changed, and its resource replaced
            assert topics(account) == [f"arn:aws:sns:{REGION}:{account.id}:second"]
            account.client("ssm").put_parameter(Name="/live", Value="2", Type="String", Overwrite=True)
            with pytest.raises(ClientError, match="exists already"):
                account.client("codeconnections").create_connection(ProviderType="GitHub", ConnectionName="code")
        cloud.empty()
        assert topics(cloud.account()) == []
        cloud.empty()
    assert prepared == ["called"]


def test_a_state_takes_the_place_of_nothing(cloud: Cloud, prepared: list[str], moment: str) -> None:
    cloud.account().client("sns").create_topic(Name="in-the-way")
    with pytest.raises(RuntimeError, match="not empty"):
        cloud.once(moment, lambda: fill(cloud, prepared))
    assert prepared == []


def test_functions_are_found_by_their_arn_and_deleted_in_a_state_that_was_gone_back_to(cloud: Cloud) -> None:
    account = cloud.account()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("handler.py", "def handler(event, context): ...")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = account.client("iam").create_role(
        RoleName="own", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    functions = account.client("lambda")
    arn = functions.create_function(
        FunctionName="own",
        Runtime="python3.13",
        Handler="handler.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": content.getvalue()},
    )["FunctionArn"]
    saved = cloud.save()
    cloud.restore(saved)
    held = lambda_backends[account.id][account.region]._lambdas
    assert held._arns[arn] is held._functions["own"]["latest"]  # held weakly: a function of before may be gone any time
    functions.delete_function(FunctionName="own")
    saved.discard()
