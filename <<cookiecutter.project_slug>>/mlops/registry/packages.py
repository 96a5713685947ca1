"""The model packages of a group in SageMaker. A Lambda function imports this module, so it needs only boto3."""

from typing import Any

from mlops.registry.versions import ModelVersion, of_package


def versions(sagemaker: Any, group: str, status: str | None = None) -> list[ModelVersion]:
    """Return the versions of a model package group, oldest first.

    Args:
        sagemaker: A boto3 client.
        group: The name of a group that exists.
        status: Return only versions with this approval status; None for all.
    """
    only = {"ModelApprovalStatus": status} if status else {}
    return [of_package(_described(sagemaker, package)) for package in _listed(sagemaker, group, **only)]


def records(sagemaker: Any, group: str) -> list[dict[str, Any]]:
    """Return the responses of DescribeModelPackage for all versions of a group, oldest first.

    Args:
        sagemaker: A boto3 client.
        group: The name of the group.

    Raises:
        ClientError: The group does not exist, or cannot be read.
    """
    sagemaker.describe_model_package_group(ModelPackageGroupName=group)  # AWS does not document what listing answers
    return [_described(sagemaker, package) for package in _listed(sagemaker, group)]


def newest(sagemaker: Any, group: str) -> list[ModelVersion]:
    """Return the newest version of a model package group, if there is one, without reading others.

    Args:
        sagemaker: A boto3 client.
        group: The name of a group that exists.
    """
    return [of_package(_described(sagemaker, package)) for package in _listed(sagemaker, group)[-1:]]


def _listed(sagemaker: Any, group: str, **only: str) -> list[dict[str, Any]]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelPackageType="Versioned", **only
    )
    packages = [package for page in pages for package in page["ModelPackageSummaryList"]]
    return sorted(packages, key=lambda package: int(package["ModelPackageVersion"]))


def _described(sagemaker: Any, package: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
    return record
