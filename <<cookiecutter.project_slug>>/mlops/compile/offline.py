"""An offline SageMaker session: it answers the few calls of a compilation and keeps uploads in memory."""

import io
import logging
import os
import warnings
from collections.abc import Callable
from typing import Any

import boto3
import botocore.awsrequest

from mlops.base.errors import MlopsError


class OfflineAws:
    """Answers API calls inside the process, through botocore's documented events.

    Attributes:
        account: The account id in responses.
        objects: The uploaded objects by bucket and key.
    """

    def __init__(self, account: str) -> None:
        self.account = account
        self.objects: dict[tuple[str, str], bytes] = {}
        self._answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "s3:PutObject": self._put_object,
            "s3:HeadBucket": lambda _: {},
            "s3:ListBuckets": lambda _: {"Buckets": []},
            # The SDK's check that the bucket exists, when its uploads have a prefix.
            "s3:ListObjectsV2": lambda _: {"KeyCount": 0, "IsTruncated": False},
            "sts:GetCallerIdentity": self._caller_identity,
        }

    def answer_calls_of(self, session: boto3.Session) -> None:
        """Answer all calls of the clients of `session`; other calls raise MlopsError."""
        # Keep the caller's parameters: in before-call, S3 bodies are already wrapped for transport.
        session.events.register_first("before-parameter-build", _remember_parameters)
        session.events.register_first("before-call", self._answer)

    def _answer(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        operation = f"{model.service_model.service_name}:{model.name}"
        respond = self._answers.get(operation)
        if respond is None:
            raise MlopsError(
                f"The pipeline module calls {operation}, but pipelines are compiled offline.",
                "Pass the value as an argument, or set it in config/.",
            )
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
        response = {"ResponseMetadata": metadata, **respond(context.get("given_parameters", {}))}
        return botocore.awsrequest.AWSResponse("offline://", 200, {}, io.BytesIO()), response

    def _put_object(self, parameters: dict[str, Any]) -> dict[str, Any]:
        body = parameters.get("Body", b"")
        body = body.read() if hasattr(body, "read") else body
        content = body.encode() if isinstance(body, str) else bytes(body)
        self.objects[parameters["Bucket"], parameters["Key"]] = content
        return {}

    def _caller_identity(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"Account": self.account, "Arn": f"arn:aws:iam::{self.account}:user/offline", "UserId": "offline"}


def _remember_parameters(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context["given_parameters"] = params


def isolate(region: str) -> None:
    """Isolate this process from the user's AWS configuration. Call it before `sagemaker` is imported."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_DEFAULT_REGION=region,
        AWS_REGION=region,
        AWS_ACCESS_KEY_ID="offline",
        AWS_SECRET_ACCESS_KEY="offline",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
        SAGEMAKER_VALIDATE_ROLE="false",
    )
    # The SDK logs its defaults at level INFO, through loggers that it configures itself, and triggers pydantic
    # warnings.
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"sagemaker(\.|$)|pydantic(\.|$)")


def offline_session(aws: OfflineAws, region: str, bucket: str, prefix: str) -> Any:
    """Return a PipelineSession whose calls `aws` answers, with uploads below `prefix` in `bucket`."""
    import sagemaker.core.telemetry.telemetry_logging as telemetry
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    # The SDK sends telemetry for every call. Checking its opt-out takes a network call of some seconds.
    telemetry._send_telemetry_request = lambda *_, **__: None
    session = boto3.Session(region_name=region)
    aws.answer_calls_of(session)
    # Classes without a session create one from boto3's default.
    boto3.DEFAULT_SESSION = session
    pipeline_session = PipelineSession(boto_session=session, default_bucket=bucket, default_bucket_prefix=prefix)
    # Defaults from a user's own configuration files must not change a definition that others compile too.
    pipeline_session.sagemaker_config = {}
    return pipeline_session
