"""A stand-in AWS account on this machine: moto's server with what it lacks."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from threading import Thread
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from moto.applicationautoscaling import models as autoscaling
from moto.applicationautoscaling import responses as autoscaling_responses
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import PermissionResult
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket
from werkzeug.serving import make_server

from standin.gaps import StandIns
from standin.iam import applies, statements

REGION = "eu-west-1"


@dataclass(frozen=True)
class StandInAccount:
    """An account that answers at an address of this machine.

    Attributes:
        endpoint: The address.
        region: The region that its clients use.
        id: Its number.
        answers: What functions of custom resources answered, by request; taken out when it is read.
    """

    endpoint: str
    answers: dict[str, Any]
    region: str = REGION
    id: str = DEFAULT_ACCOUNT_ID
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """The boto3 client of a service."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    def environment(self) -> Mapping[str, str]:
        """What a process needs in its environment to use this account; it inherits nothing else."""
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


class _Quiet(MotoRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Say nothing: tests show what was asked by other means."""


def _bucket_permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    """What a bucket's policy says of a call over TLS; moto takes no notice of conditions, and refuses all calls."""
    document = json.loads(bucket.policy) if bucket.policy else {"Statement": []}
    denies = [statement for statement in statements(document) if statement["Effect"] == "Deny"]
    asked = [{key for keys in statement.get("Condition", {}).values() for key in keys} for statement in denies]
    context = {"aws:SecureTransport": True}
    for statement, keys in zip(denies, asked, strict=True):
        # Who calls is not known here.
        if keys <= context.keys() and applies(statement, action, resource, context):
            return PermissionResult.DENIED
    return PermissionResult.NEUTRAL


@cache
def _scalable_dimensions() -> Any:
    """What can be scaled; moto knows a part."""
    model = botocore.session.get_session().get_service_model("application-autoscaling")
    dimensions = model.operation_model("RegisterScalableTarget").input_shape.members["ScalableDimension"].enum
    return Enum("ScalableDimensionValueSet", {name: name for name in dimensions})


@contextmanager
def stand_in_account() -> Iterator[StandInAccount]:
    """An empty account; it ends, with all that is in it, at the end of the `with` block."""
    moto_api_backend.reset()
    answers: dict[str, Any] = {}
    application = StandIns(DomainDispatcherApplication(create_backend_app), answers)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    patch = pytest.MonkeyPatch()
    patch.setattr(FakeBucket, "get_permission", _bucket_permission)
    for module in (autoscaling, autoscaling_responses):
        patch.setattr(module, "ScalableDimensionValueSet", _scalable_dimensions())
    try:
        yield StandInAccount(f"http://127.0.0.1:{server.server_port}", answers)
    finally:
        patch.undo()
        server.shutdown()
        thread.join()
        server.server_close()
        moto_api_backend.reset()
