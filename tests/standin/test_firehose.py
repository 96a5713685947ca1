"""Streams of the stand-in: what Firehose refuses is refused, and records are in S3 under the evaluated prefix."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from standin.account import StandInAccount
from standin.firehose import MAX_BYTES

BUCKET = "records"
DESTINATION = {
    "BucketARN": f"arn:aws:s3:::{BUCKET}",
    "Prefix": "one/!{timestamp:yyyy/MM/dd/HH}/",
    "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
    "FileExtension": ".jsonl",
}


def create(account: StandInAccount, service: str = "firehose", **destination: str) -> Any:
    """A stream with a role that trusts a service; its client."""
    place = {"LocationConstraint": account.region}
    account.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = account.client("iam").create_role(RoleName="writer", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    firehose = account.client("firehose")
    firehose.create_delivery_stream(
        DeliveryStreamName="stream",
        DeliveryStreamEncryptionConfigurationInput={"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": "arn:aws:kms:key"},
        ExtendedS3DestinationConfiguration={**DESTINATION, "RoleARN": role, **destination},
    )
    return firehose


def test_a_record_is_in_s3_under_the_hour_that_it_arrived_in(account: StandInAccount) -> None:
    answer = create(account).put_record(DeliveryStreamName="stream", Record={"Data": b"a" * MAX_BYTES})
    assert answer["Encrypted"]
    (found,) = account.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert re.fullmatch(r"one/20\d\d/\d\d/\d\d/\d\d/stream-1-20[\d-]{17}-[0-9a-f-]{36}\.jsonl", found["Key"])
    assert found["Size"] == MAX_BYTES


@pytest.mark.parametrize(
    ("destination", "service"),
    [
        ({"ErrorOutputPrefix": "errors/"}, "firehose"),
        ({"Prefix": "one/!{firehose:error-output-type}/"}, "firehose"),
        ({"Prefix": "one/!{timestamp:YYYY}/"}, "firehose"),
        ({}, "lambda"),
    ],
)
def test_a_stream_that_could_not_deliver_is_refused(
    account: StandInAccount, destination: Mapping[str, str], service: str
) -> None:
    with pytest.raises(ClientError, match="InvalidArgumentException"):
        create(account, service, **destination)


@pytest.mark.parametrize(("name", "size"), [("stream", MAX_BYTES + 1), ("another", 1)])
def test_a_record_is_refused_that_is_too_large_or_has_no_stream(account: StandInAccount, name: str, size: int) -> None:
    with pytest.raises(ClientError, match=r"ValidationException|ResourceNotFoundException"):
        create(account).put_record(DeliveryStreamName=name, Record={"Data": b"a" * size})


def subscribe(account: StandInAccount, *, raw: bool = True, trusted: str = "sns") -> str:
    """A topic that sends to a stream; its ARN."""
    create(account)
    trust = {"Effect": "Allow", "Principal": {"Service": f"{trusted}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = account.client("iam").create_role(RoleName="sender", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    topic: str = account.client("sns").create_topic(Name="topic")["TopicArn"]
    account.client("sns").subscribe(
        TopicArn=topic,
        Protocol="firehose",
        Endpoint=f"arn:aws:firehose:{account.region}:{account.id}:deliverystream/stream",
        Attributes={"SubscriptionRoleArn": role, "RawMessageDelivery": str(raw).lower()},
    )
    return topic


@pytest.mark.parametrize("raw", [True, False])
def test_a_topic_sends_its_messages_to_a_stream(account: StandInAccount, raw: bool) -> None:
    account.client("sns").publish(TopicArn=subscribe(account, raw=raw), Message='{"a": 1}')
    (found,) = account.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    content = json.load(account.client("s3").get_object(Bucket=BUCKET, Key=found["Key"])["Body"])
    assert (content if raw else json.loads(content["Message"])) == {"a": 1}


def test_a_topic_needs_a_role_that_it_may_assume_to_send_to_a_stream(account: StandInAccount) -> None:
    with pytest.raises(ClientError, match="InvalidParameter"):
        subscribe(account, trusted="lambda")
