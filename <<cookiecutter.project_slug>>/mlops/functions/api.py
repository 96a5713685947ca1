"""The function behind the HTTP API: it hands requests to the endpoint, and its answers back.

Whatever cannot be answered becomes `{"error": <reason>}`. Only the reason of a refusal, which the model's server writes
for clients, is passed on: what SageMaker says besides names accounts and log groups, and goes into the function's log.
"""

import base64
import functools
import json
import logging
import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

_HEADERS = {
    "content-type": "ContentType",
    "accept": "Accept",
    "x-amzn-sagemaker-inference-id": "InferenceId",
    "x-amzn-sagemaker-custom-attributes": "CustomAttributes",
}
"""The headers that are handed on, and what InvokeEndpoint calls them."""

_UNAVAILABLE = (503, "the endpoint is not ready; try again later")
_FAILED = (502, "the endpoint cannot be asked; the log of the function says why")
_ERRORS = {
    "InternalDependencyException": _UNAVAILABLE,
    "InternalFailure": _UNAVAILABLE,
    "ModelNotReadyException": _UNAVAILABLE,
    "ServiceUnavailable": _UNAVAILABLE,
    "ThrottlingException": (429, "too many requests at a time; try again later"),
    "ValidationError": (400, "SageMaker refuses the request; check its headers"),
}
"""Status and reason for the error codes of InvokeEndpoint."""

_log = logging.getLogger(__name__)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a request to the API.

    Args:
        event: As API Gateway hands it over, in its format 2.0.

    Returns:
        Status, headers and body of the answer, in that format.
    """
    text = event.get("body") or ""
    body = base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    if len(body) > (largest := int(os.environ["MAX_BYTES"])):
        return _refusal(413, f"the request is larger than {largest} bytes; send fewer rows at a time")
    said = {_HEADERS[name]: value for name, value in event["headers"].items() if name in _HEADERS and value}
    try:
        answer = _runtime().invoke_endpoint(EndpointName=os.environ["ENDPOINT_NAME"], Body=body, **said)
        content = answer["Body"].read()
    except ClientError as error:
        return _refusal(*_said_of(error))
    except ReadTimeoutError:
        return _refusal(504, f"the model took longer than {os.environ['ANSWER_SECONDS']} seconds; send fewer rows")
    except BotoCoreError as error:
        _log.error("%s: %s", type(error).__name__, error)
        return _refusal(*_FAILED)
    return {
        "statusCode": 200,
        "headers": {"content-type": answer["ContentType"]},
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }


@functools.cache
def _runtime() -> Any:
    """The client, kept from one request to the next; whoever asks may ask again, so it does not."""
    seconds = int(os.environ["ANSWER_SECONDS"])
    config = Config(connect_timeout=2, read_timeout=seconds, retries={"total_max_attempts": 1})
    return boto3.client("sagemaker-runtime", config=config)


def _said_of(error: ClientError) -> tuple[int, str]:
    """Status and reason for an error of SageMaker."""
    said = error.response["Error"]
    if said["Code"] == "ModelError":
        return _said_by_the_model(error.response)
    _log.error("%s: %s", said["Code"], said["Message"])
    if said["Code"] == "ValidationError" and "not found" in said["Message"]:
        return _UNAVAILABLE
    return _ERRORS.get(said["Code"], _FAILED)


def _said_by_the_model(response: dict[str, Any]) -> tuple[int, str]:
    """Status and reason for an answer of the model's server that is an error."""
    status = response["OriginalStatusCode"]
    _log.warning("the model answered %s", status)
    if status == 503:
        return _UNAVAILABLE
    if not 400 <= status < 500:
        return 502, "the model failed; the log of the endpoint says why"
    try:
        reason = json.loads(response["OriginalMessage"])["error"]
    except (ValueError, LookupError, TypeError):
        reason = "the model refuses the request"
    return status, str(reason)


def _refusal(status: int, reason: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"error": reason}),
    }
