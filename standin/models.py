"""botocore's models of services, read once for all clients of a process."""

import functools
from typing import Any

import boto3
from botocore.loaders import JSONFileLoader

SERVICES = (
    *("cloudformation", "cloudwatch", "codebuild", "codepipeline", "ecr", "iam", "lambda"),
    *("s3", "sagemaker", "sagemaker-runtime", "sns", "ssm", "sts"),
)
"""Those that projects use most."""

_load_file = JSONFileLoader.load_file


@functools.cache
def _loaded(path: str) -> Any:
    return _load_file(JSONFileLoader(), path)


def keep() -> None:
    """Let every session of this process share the models that one of them has read."""
    JSONFileLoader.load_file = lambda _, path: _loaded(path)


def read() -> None:
    """Read the models of `SERVICES`, and keep them."""
    keep()
    for service in SERVICES:
        boto3.Session(region_name="eu-west-1").client(service, aws_access_key_id="none", aws_secret_access_key="none")
