"""A SageMaker session that answers the few calls compiling makes, keeps its uploads in memory and refuses the rest."""

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
    """Answers API calls before they leave the process, through botocore's documented events.

    Attributes:
        account: The account that calls are answered for.
        objects: What has been uploaded, by bucket and key.
    """

    def __init__(self, account: str) -> None:
        self.account = account
        self.objects: dict[tuple[str, str], bytes] = {}
        self._answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "s3:PutObject": self._put_object,
            "s3:HeadBucket": lambda _: {},
            "s3:ListBuckets": lambda _: {"Buckets": []},
            # How the SDK asks whether the bucket is there, when its uploads have a prefix.
            "s3:ListObjectsV2": lambda _: {"KeyCount": 0, "IsTruncated": False},
            "sts:GetCallerIdentity": self._caller_identity,
        }

    def answer_calls_of(self, session: boto3.Session) -> None:
        """Answer every call that clients of `session` make; calls that are not foreseen raise MlopsError."""
        # The parameters are taken as the caller gave them: before-call sees S3 bodies already wrapped for the wire.
        session.events.register_first("before-parameter-build", _remember_parameters)
        session.events.register_first("before-call", self._answer)

    def _answer(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        operation = f"{model.service_model.service_name}:{model.name}"
        answer = self._answers.get(operation)
        if answer is None:
            raise MlopsError(
                f"Compiling the pipeline calls {operation}, but compiling works without AWS.",
                "Give the value as an argument or in config/ instead of asking AWS for it.",
            )
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
        response = {"ResponseMetadata": metadata, **answer(context.get("given_parameters", {}))}
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
    """Cut this process off from the reader's AWS configuration. Call it before `sagemaker` is imported."""
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
    # The SDK tells of its own defaults at level INFO, through loggers it configures itself, and warns about its own use
    # of pydantic.
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"sagemaker(\.|$)|pydantic(\.|$)")


def offline_session(aws: OfflineAws, region: str, bucket: str, prefix: str) -> Any:
    """A PipelineSession whose calls `aws` answers, and whose uploads go below `prefix` in `bucket`."""
    import sagemaker.core.telemetry.telemetry_logging as telemetry
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    # The SDK reports every call to its makers. Its own opt-out is looked up through the network, which takes seconds.
    telemetry._send_telemetry_request = lambda *_, **__: None
    session = boto3.Session(region_name=region)
    aws.answer_calls_of(session)
    # Classes that are given no session make one from boto3's default.
    boto3.DEFAULT_SESSION = session
    pipeline_session = PipelineSession(boto_session=session, default_bucket=bucket, default_bucket_prefix=prefix)
    # Defaults from the reader's own configuration files have no place in a definition that others compile too.
    pipeline_session.sagemaker_config = {}
    return pipeline_session
