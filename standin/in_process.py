"""The stand-in account of the tests, and a log of the calls that are made to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import moto.sagemaker.models
import pytest
from moto import mock_aws

ACCOUNT, REGION, BUCKET = "123456789012", "eu-west-1", "visits-bucket"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipeline"

_READING = ("Get", "List", "Describe", "Head")


@contextmanager
def stand_in_account() -> Iterator[None]:
    """An AWS account in this process, with a bucket in it."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.delenv("AWS_PROFILE", raising=False)
        # SageMaker describes a pipeline with the text of its definition; moto with Python's repr of it, parsed.
        patch.setattr(moto.sagemaker.models, "load_pipeline_definition_from_s3", _text_of_definition)
        configuration = {"LocationConstraint": REGION}
        boto3.client("s3", REGION).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
        yield


def _text_of_definition(location: dict[str, str], *_: Any, **__: Any) -> str:
    answer = boto3.client("s3", REGION).get_object(Bucket=location["Bucket"], Key=location["ObjectKey"])
    text: str = answer["Body"].read().decode()
    return text


class CallLog:
    """The names of the operations called within a `with` block.

    Args:
        callers: Clients, or sessions whose clients are made within the block.
    """

    def __init__(self, *callers: Any) -> None:
        self.emitters = [_emitter(caller) for caller in callers]
        self.operations: list[str] = []

    def __enter__(self) -> "CallLog":
        for emitter in self.emitters:
            emitter.register("before-call", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for emitter in self.emitters:
            emitter.unregister("before-call", self._note)

    def _note(self, model: Any, **_: Any) -> None:
        self.operations.append(model.name)

    @property
    def changing(self) -> list[str]:
        """Those that may change something."""
        return [name for name in self.operations if not name.startswith(_READING)]

    def clear(self) -> None:
        """Forget what was called."""
        self.operations.clear()


def _emitter(caller: Any) -> Any:
    return caller.events if isinstance(caller, boto3.Session) else caller.meta.events
