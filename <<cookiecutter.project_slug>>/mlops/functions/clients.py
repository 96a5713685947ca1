"""The AWS clients of the Lambda functions."""

import functools
from typing import Any

import boto3


@functools.cache
def client(service: str) -> Any:
    """Return the client of a service, which is reused by later invocations."""
    return boto3.client(service)
