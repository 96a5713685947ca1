"""Streams of Amazon Data Firehose: a record becomes an object in S3 at once, as if a buffer held one.

moto appends a time to a prefix instead of evaluating it, knows no file extension, takes records of any size, and sends
no messages of SNS to streams.
"""

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.backends import get_backend
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription

from standin.gaps import Message, RefusedError, Where
from standin.iam import statements

MAX_BYTES = 1_024_000
"""The largest record: https://docs.aws.amazon.com/firehose/latest/APIReference/API_Record.html."""

_DESTINATIONS = ("ExtendedS3DestinationConfiguration", "ExtendedS3DestinationUpdate")
_TIMES = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H"}
_EXPRESSION = re.compile(r"!\{(\w+):([^}]*)\}")
_ERROR_TYPE = "!{firehose:error-output-type}"
_PLACE = "aws"
"""Where moto keeps what belongs to no Region."""


def operations() -> Mapping[tuple[str, str], Callable[[Where, Message], Message]]:
    """What is answered here instead of by moto."""
    return {("firehose", "PutRecord"): _put_record}


def limits() -> Mapping[tuple[str, str], Callable[[Where, Message], None]]:
    """What is refused before moto answers."""
    return {("firehose", name): _require_deliverable for name in ("CreateDeliveryStream", "UpdateDestination")}


@contextmanager
def subscriptions() -> Iterator[None]:
    """Let topics of SNS send to streams within a `with` block.

    A message is sent as it is, without a line end, which AWS does not document for raw delivery:
    https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html. The role is that of
    https://docs.aws.amazon.com/sns/latest/dg/prereqs-kinesis-data-firehose.html.
    """
    set_attribute, publish = SNSBackend.set_subscription_attributes, Subscription.publish

    def checked(backend: SNSBackend, arn: str, name: str, value: Any) -> None:
        if name == "SubscriptionRoleArn" and not _trusts(backend.account_id, value, "sns"):
            raise SNSInvalidParameter(f"SNS cannot assume {value}")
        set_attribute(backend, arn, name, value)

    def published(subscription: Subscription, message: str, message_id: str, **more: Any) -> None:
        if subscription.protocol != "firehose":
            publish(subscription, message, message_id, **more)
        elif "SubscriptionRoleArn" in subscription.attributes:
            is_raw = str(subscription.attributes["RawMessageDelivery"]).lower() == "true"
            text = message if is_raw else json.dumps(subscription.get_post_data(message, message_id, None))
            _, _, _, region, account, stream = subscription.endpoint.split(":")
            put(Where(account, region), stream.rpartition("/")[2], text.encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SNSBackend, "set_subscription_attributes", checked)
        patch.setattr(Subscription, "publish", published)
        yield


def _trusts(account: str, role: str, service: str) -> bool:
    """Return whether a role trusts a service."""
    found = get_backend("iam")[account][_PLACE].get_role(role.rpartition("/")[2])
    trusting = statements(json.loads(found.assume_role_policy_document))
    return any(each["Principal"] == {"Service": f"{service}.amazonaws.com"} for each in trusting)


def _require_deliverable(where: Where, request: Message) -> None:
    """Refuse prefixes and roles that Firehose refuses.

    https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html says that a prefix with expressions needs one for
    errors, which has the type of the error in it, and
    https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html that Firehose assumes the role.
    """
    destination = next(request[name] for name in _DESTINATIONS if name in request)
    prefix, errors = destination.get("Prefix", ""), destination.get("ErrorOutputPrefix", "")
    if _ERROR_TYPE in prefix or (_EXPRESSION.search(prefix) and _ERROR_TYPE not in errors):
        raise _invalid("The prefixes of records and of errors do not go together.")
    _evaluated(prefix, datetime.now(UTC))
    if not _trusts(where.account, destination["RoleARN"], "firehose"):
        raise _invalid(f"Firehose is unable to assume role {destination['RoleARN']}.")


def _put_record(where: Where, request: Message) -> Message:
    return put(where, request["DeliveryStreamName"], base64.b64decode(request["Record"]["Data"]))


def put(where: Where, name: str, content: bytes) -> Message:
    """Deliver a record to the stream of a name.

    Raises:
        RefusedError: The stream does not exist, or the record is too large.
    """
    streams = get_backend("firehose")[where.account][where.region].delivery_streams
    if name not in streams:
        raise RefusedError("ResourceNotFoundException", f"Firehose {name} not found.")
    if len(content) > MAX_BYTES:
        raise RefusedError("ValidationException", f"The record has {len(content)} bytes.")
    stream, now = streams[name], datetime.now(UTC)
    destination: Mapping[str, Any] = stream.destinations[0]["ExtendedS3"]
    # https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html
    key = (
        f"{_evaluated(destination['Prefix'], now)}{name}-{stream.version_id}-{now:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"
        f"{destination.get('FileExtension', '')}"
    )
    bucket = destination["BucketARN"].rpartition(":")[2]
    get_backend("s3")[where.account][_PLACE].put_object(bucket, key, content)
    return {"RecordId": str(uuid.uuid4()), "Encrypted": "KeyARN" in stream.delivery_stream_encryption_configuration}


def _evaluated(prefix: str, moment: datetime) -> str:
    def value(expression: re.Match[str]) -> str:
        namespace, pattern = expression.groups()
        words = re.split(r"(\w+)", pattern)
        if namespace != "timestamp" or set(words[1::2]) - _TIMES.keys():
            raise _invalid(f"{expression[0]} is not evaluated here.")
        return moment.strftime("".join(_TIMES.get(word, word) for word in words))

    return _EXPRESSION.sub(value, prefix)


def _invalid(reason: str) -> RefusedError:
    return RefusedError("InvalidArgumentException", reason)
