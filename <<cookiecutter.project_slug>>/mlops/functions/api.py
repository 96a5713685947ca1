"""The function behind the HTTP API: forward requests to the endpoint, and return its responses.

With `CAPTURE_STREAM`, answered requests and their responses are also sent to that stream of Amazon Data Firehose, for
monitoring: SageMaker captures no data at serverless endpoints.

Errors become `{"error": <reason>}`. Only the reason that the model's server gives for clients is passed on: other error
messages of SageMaker contain account ids and log groups, and are only logged.
"""

import base64
import functools
import json
import logging
import os
import random
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from mlops.base.capture import Encoder
from mlops.base.payloads import LAMBDA, MEGABYTE

_HEADERS = {
    "content-type": "ContentType",
    "accept": "Accept",
    "x-amzn-sagemaker-inference-id": "InferenceId",
    "x-amzn-sagemaker-custom-attributes": "CustomAttributes",
}
"""The headers that are forwarded, and their parameters of InvokeEndpoint."""

_UNAVAILABLE = (503, "the endpoint is not ready; try again later")
_FAILED = (502, "the endpoint cannot be invoked; see the log of the function")
_ERRORS = {
    "InternalDependencyException": _UNAVAILABLE,
    "InternalFailure": _UNAVAILABLE,
    "ModelNotReadyException": _UNAVAILABLE,
    "ServiceUnavailable": _UNAVAILABLE,
    "ThrottlingException": (429, "too many requests; try again later"),
    "ValidationError": (400, "SageMaker rejected the request; check its headers"),
}
"""Status and reason for the error codes of InvokeEndpoint."""

_ENVELOPE_BYTES = 4096
_MAX_RESPONSE_BYTES = (LAMBDA * MEGABYTE - _ENVELOPE_BYTES) // 4 * 3
"""The largest response that fits into what a function may return, in base64 and beside status and headers."""

_MAX_RECORD_BYTES = 1_024_000
"""The largest record of a stream: https://docs.aws.amazon.com/firehose/latest/APIReference/API_Record.html."""

_LOST = "LostRecords"
"""The metric of requests that were answered and not captured."""

_log = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Handle a request to the API.

    Args:
        event: The event of API Gateway, payload format version 2.0.

    Returns:
        Status, headers and body of the response, in that format.
    """
    text = event.get("body") or ""
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    if len(body) > (largest := int(os.environ["MAX_BYTES"])):
        return _too_large("request", largest)
    parameters = {_HEADERS[name]: value for name, value in event["headers"].items() if name in _HEADERS and value}
    try:
        response = _runtime().invoke_endpoint(EndpointName=os.environ["ENDPOINT_NAME"], Body=body, **parameters)
        content = response["Body"].read()
    except ClientError as error:
        return _refusal(*_reason_of(error))
    except ReadTimeoutError:
        return _refusal(504, f"the model took longer than {os.environ['ANSWER_SECONDS']} seconds; send fewer rows")
    except BotoCoreError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return _refusal(*_FAILED)
    if len(content) > _MAX_RESPONSE_BYTES:
        return _too_large("response", _MAX_RESPONSE_BYTES)
    if "CAPTURE_STREAM" in os.environ:
        _capture(parameters, body, response["ContentType"], content)
    return {
        "statusCode": 200,
        "headers": {"content-type": response["ContentType"]},
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }


@functools.cache
def _runtime() -> Any:
    """Return the client, which is reused. It does not retry: that is up to the caller of the API."""
    seconds = int(os.environ["ANSWER_SECONDS"])
    config = Config(connect_timeout=1, read_timeout=seconds, retries={"total_max_attempts": 1})
    return boto3.client("sagemaker-runtime", config=config)


def _capture(parameters: dict[str, str], body: bytes, response_type: str, content: bytes) -> None:
    """Send a share of the requests to the stream, each with its response; what fails is logged and counted."""
    if random.random() * 100 >= int(os.environ["CAPTURE_PERCENT"]):
        return
    encoder = Encoder(parameters.get("ContentType", ""), response_type)
    record = encoder.record(body, content, parameters.get("InferenceId", ""), parameters.get("CustomAttributes", ""))
    if len(record) > _MAX_RECORD_BYTES:
        _count_lost(f"its record has {len(record)} bytes; the stream accepts {_MAX_RECORD_BYTES}")
        return
    try:
        _firehose().put_record(DeliveryStreamName=os.environ["CAPTURE_STREAM"], Record={"Data": record})
    except (BotoCoreError, ClientError) as error:
        _count_lost(f"{type(error).__name__}: {error}")


@functools.cache
def _firehose() -> Any:
    """Return the client, which is reused. It gives up early: the response waits for it."""
    config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
    return boto3.client("firehose", config=config)


def _count_lost(reason: str) -> None:
    """Log that a request was not captured, and count it in a metric.

    CloudWatch reads metrics from log lines in this format, which needs no further permission:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
    """
    _log.error("a request was not captured: %s", reason)
    metric = {"Namespace": "mlops", "Dimensions": [["FunctionName"]], "Metrics": [{"Name": _LOST, "Unit": "Count"}]}
    header = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [metric]}
    print(json.dumps({"_aws": header, "FunctionName": os.environ["AWS_LAMBDA_FUNCTION_NAME"], _LOST: 1}))


def _reason_of(error: ClientError) -> tuple[int, str]:
    """Return status and reason for an error of SageMaker."""
    details = error.response["Error"]
    if details["Code"] == "ModelError":
        return _model_reason(error.response)
    _log.error("%s: %s", details["Code"], details["Message"])
    if details["Code"] == "ValidationError" and "not found" in details["Message"]:
        return _UNAVAILABLE
    return _ERRORS.get(details["Code"], _FAILED)


def _model_reason(response: dict[str, Any]) -> tuple[int, str]:
    """Return status and reason for an error response of the model's server."""
    status = response["OriginalStatusCode"]
    _log.warning("the model answered %s", status)
    if status == 503:
        return _UNAVAILABLE
    if not 400 <= status < 500:
        return 502, "the model failed; see the log of the endpoint"
    try:
        reason = json.loads(response["OriginalMessage"])["error"]
    except (ValueError, LookupError, TypeError):
        reason = "the model rejected the request"
    return status, str(reason)


def _too_large(what: str, limit: int) -> dict[str, Any]:
    return _refusal(413, f"the {what} is larger than {limit} bytes; send fewer rows at a time")


def _refusal(status: int, reason: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"error": reason}),
    }
