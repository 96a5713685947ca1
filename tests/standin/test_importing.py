"""CloudFormation takes over what exists, and refuses what its page says that it refuses."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import StandInAccount

STACK, BUCKET = "kept", "kept-data"
RETAINED = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
WRITTEN: dict[str, Any] = {"Type": "AWS::S3::Bucket", **RETAINED, "Properties": {"BucketName": BUCKET}}
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "kept"}}
IMPORTED: dict[str, Any] = {
    "LogicalResourceId": "Bucket",
    "ResourceType": "AWS::S3::Bucket",
    "ResourceIdentifier": {"BucketName": BUCKET},
}


def template(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


def change(account: StandInAccount, body: dict[str, Any], *imported: Any, stack: str = STACK, **more: Any) -> None:
    """Make a change set and execute it."""
    client = account.client("cloudformation")
    made = client.create_change_set(
        StackName=stack,
        ChangeSetName="change",
        TemplateBody=json.dumps(body),
        **({"ChangeSetType": "IMPORT", "ResourcesToImport": list(imported)} if imported else {}),
        **more,
    )
    client.execute_change_set(ChangeSetName=made["Id"])


def status(account: StandInAccount, stack: str = STACK) -> str:
    return str(account.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])


@pytest.fixture
def there(account: StandInAccount) -> StandInAccount:
    """An account with a bucket that belongs to no stack."""
    configuration = {"LocationConstraint": account.region}
    account.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
    return account


def test_what_exists_is_not_made_a_second_time(there: StandInAccount) -> None:
    with pytest.raises(ClientError, match=f"Bucket: {BUCKET} already exists"):
        change(there, template(Bucket=WRITTEN), ChangeSetType="CREATE")


def test_what_exists_is_imported_and_then_brought_up_to_the_template(there: StandInAccount) -> None:
    change(there, template(Bucket=WRITTEN), IMPORTED)
    assert status(there) == "IMPORT_COMPLETE"
    properties = {"BucketName": BUCKET, "VersioningConfiguration": {"Status": "Enabled"}}
    full = {**template(Bucket={**WRITTEN, "Properties": properties}, Topic=TOPIC), "Outputs": {"Name": {"Value": "x"}}}
    change(there, full, ChangeSetType="UPDATE")
    assert there.client("s3").get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    there.client("cloudformation").delete_stack(StackName=STACK)
    assert [bucket["Name"] for bucket in there.client("s3").list_buckets()["Buckets"]] == [BUCKET]


def test_it_is_imported_into_a_stack_that_holds_others(there: StandInAccount) -> None:
    change(there, template(Topic=TOPIC), ChangeSetType="CREATE")
    change(there, template(Topic=TOPIC, Bucket=WRITTEN), IMPORTED)
    held = there.client("cloudformation").list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    assert {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in held}["Bucket"] == BUCKET


def test_a_key_is_imported_by_its_id_and_a_group_by_its_arn(account: StandInAccount) -> None:
    key = account.client("kms").create_key()["KeyMetadata"]
    group = account.client("sagemaker").create_model_package_group(ModelPackageGroupName="kept")
    change(
        account,
        template(
            Key={"Type": "AWS::KMS::Key", **RETAINED},
            Group={
                "Type": "AWS::SageMaker::ModelPackageGroup",
                **RETAINED,
                "Properties": {"ModelPackageGroupName": "kept"},
            },
        ),
        {
            "LogicalResourceId": "Key",
            "ResourceType": "AWS::KMS::Key",
            "ResourceIdentifier": {"KeyId": key["KeyId"]},
        },
        {
            "LogicalResourceId": "Group",
            "ResourceType": "AWS::SageMaker::ModelPackageGroup",
            "ResourceIdentifier": {"ModelPackageGroupArn": group["ModelPackageGroupArn"]},
        },
    )
    policy = {"Version": "2012-10-17", "Statement": []}
    full = template(Key={"Type": "AWS::KMS::Key", **RETAINED, "Properties": {"KeyPolicy": policy}})
    full["Outputs"] = {"Arn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}}
    change(account, full, ChangeSetType="UPDATE")
    (stack,) = account.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["Outputs"][0]["OutputValue"] == key["Arn"]
    assert (
        json.loads(account.client("kms").get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"]) == policy
    )


@pytest.mark.parametrize(
    ("body", "imported", "said"),
    [
        ({**template(Bucket=WRITTEN), "Outputs": {"Name": {"Value": "x"}}}, {}, "cannot modify or add"),
        (template(Bucket=WRITTEN, Topic=TOPIC), {}, "can change nothing else: Topic"),
        (template(Other=WRITTEN), {}, "can change nothing else: Other"),
        (template(), {}, "Bucket is not in the template"),
        (template(Bucket={**TOPIC, **RETAINED}), {}, "Bucket is a AWS::SNS::Topic"),
        (template(Bucket={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}), {}, "no DeletionPolicy"),
        (template(Bucket=WRITTEN), {"ResourceIdentifier": {"Arn": BUCKET}}, "is identified by BucketName, not by Arn"),
        (
            template(Bucket={**WRITTEN, "Properties": {"BucketName": {"Fn::Sub": "kept-data"}}}),
            {},
            "Bucket says BucketName: .*Sub",
        ),
        (
            template(Bucket={**WRITTEN, "Properties": {"BucketName": "gone"}}),
            {"ResourceIdentifier": {"BucketName": "gone"}},
            "does not exist",
        ),
        (
            template(Bucket={"Type": "AWS::SageMaker::ModelPackageGroup", **RETAINED}),
            {
                "ResourceType": "AWS::SageMaker::ModelPackageGroup",
                "ResourceIdentifier": {"ModelPackageGroupArn": "arn"},
            },
            "Bucket lacks ModelPackageGroupName",
        ),
    ],
)
def test_what_cloudformation_refuses_to_import_is_refused(
    there: StandInAccount, body: dict[str, Any], imported: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClientError, match=said):
        change(there, body, {**IMPORTED, **imported})
    assert there.client("cloudformation").describe_stacks()["Stacks"] == []


def test_what_belongs_to_a_stack_is_not_imported_into_another(there: StandInAccount) -> None:
    change(there, template(Bucket=WRITTEN), IMPORTED)
    with pytest.raises(ClientError, match=f"Bucket belongs to the stack {STACK}"):
        change(there, template(Bucket=WRITTEN), IMPORTED, stack="second")


def test_what_cloudformation_would_find_by_itself_is_refused(there: StandInAccount) -> None:
    with pytest.raises(ClientError, match="ImportExistingResources is not answered here"):
        change(there, template(Bucket=WRITTEN), ChangeSetType="CREATE", ImportExistingResources=True)
