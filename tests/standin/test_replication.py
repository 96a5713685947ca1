"""Replication in the stand-in: what S3 refuses is refused, and what it would not copy is not copied."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import StandInAccount

SOURCE, DESTINATION = "source", "destination"
ACTIONS = (
    *("GetObjectVersionAcl", "GetObjectVersionForReplication", "GetObjectVersionTagging"),
    *("GetReplicationConfiguration", "ListBucket", "ReplicateObject", "ReplicateTags"),
)


def prepare(account: StandInAccount, *, service: str = "s3", lacking: str = "", versioned: bool = True) -> str:
    """Two buckets, and a role that replicates; its ARN.

    Args:
        account: Where they are.
        service: The service that the role trusts.
        lacking: An action that the role has no right to.
        versioned: Whether the second bucket is.
    """
    s3, iam = account.client("s3"), account.client("iam")
    for name, status in ((SOURCE, True), (DESTINATION, versioned)):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": account.region})
        if status:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="copies", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    actions = [f"s3:{action}" for action in ACTIONS if action != lacking]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:s3:::*"}
    iam.put_role_policy(RoleName="copies", PolicyName="copies", PolicyDocument=document(allowed))
    return str(role)


def document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def replicate(account: StandInAccount, role: str, **given: Any) -> None:
    """Replicate what is below `one/`."""
    rule = {
        "ID": "one",
        "Status": "Enabled",
        "Priority": 1,
        "Filter": {"Prefix": "one/"},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{DESTINATION}"},
        **given,
    }
    configuration = {"Role": role, "Rules": [rule]}
    account.client("s3").put_bucket_replication(Bucket=SOURCE, ReplicationConfiguration=configuration)


def copied(account: StandInAccount) -> list[str]:
    """What is in the second bucket once two objects were put into the first."""
    s3 = account.client("s3")
    for key in ("one/a", "two/b"):
        s3.put_object(Bucket=SOURCE, Key=key, Body=b"content")
    return [one["Key"] for one in s3.list_objects_v2(Bucket=DESTINATION).get("Contents", [])]


def test_what_a_rule_takes_in_is_copied(account: StandInAccount) -> None:
    replicate(account, prepare(account))
    assert copied(account) == ["one/a"]
    assert account.client("s3").get_object(Bucket=DESTINATION, Key="one/a")["Body"].read() == b"content"


@pytest.mark.parametrize(
    ("prepared", "given", "said"),
    [
        ({"versioned": False}, {}, "Destination bucket must have versioning enabled"),
        ({"service": "sagemaker"}, {}, "cannot assume"),
        ({}, {"Destination": {"Bucket": "arn:aws:s3:::another"}}, "Destination bucket must exist"),
    ],
)
def test_a_rule_that_could_not_copy_is_refused(
    account: StandInAccount, prepared: Mapping[str, Any], given: Mapping[str, Any], said: str
) -> None:
    role = prepare(account, **prepared)
    with pytest.raises(ClientError, match=said):
        replicate(account, role, **given)
    assert copied(account) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_is_copied_that_the_role_has_no_right_to(account: StandInAccount, action: str) -> None:
    replicate(account, prepare(account, lacking=action))
    assert copied(account) == []


def test_nothing_is_copied_by_a_role_that_is_gone(account: StandInAccount) -> None:
    replicate(account, prepare(account))
    iam = account.client("iam")
    iam.delete_role_policy(RoleName="copies", PolicyName="copies")
    iam.delete_role(RoleName="copies")
    assert copied(account) == []


def test_what_is_encrypted_is_copied_only_where_the_rule_says_how(account: StandInAccount) -> None:
    role, s3 = prepare(account), account.client("s3")
    key = account.client("kms").create_key()["KeyMetadata"]["Arn"]
    account.client("iam").put_role_policy(
        RoleName="copies",
        PolicyName="key",
        PolicyDocument=document(
            {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], "Resource": key}
        ),
    )
    for name in (SOURCE, DESTINATION):
        encryption = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [encryption]})
    replicate(account, role)
    assert copied(account) == []
    replicate(
        account,
        role,
        SourceSelectionCriteria={"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        Destination={
            "Bucket": f"arn:aws:s3:::{DESTINATION}", "EncryptionConfiguration": {"ReplicaKmsKeyID": key}
        },
    )  # fmt: skip
    assert copied(account) == ["one/a"]
