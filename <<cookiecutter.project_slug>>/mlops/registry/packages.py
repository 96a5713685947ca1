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
    return [_described(sagemaker, package) for package in _listed(sagemaker, group, **only)]


def newest(sagemaker: Any, group: str) -> list[ModelVersion]:
    """Return the newest version of a model package group, if there is one, without reading others.

    Args:
        sagemaker: A boto3 client.
        group: The name of a group that exists.
    """
    return [_described(sagemaker, package) for package in _listed(sagemaker, group)[-1:]]


def _listed(sagemaker: Any, group: str, **only: str) -> list[dict[str, Any]]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelPackageType="Versioned", **only
    )
    packages = [package for page in pages for package in page["ModelPackageSummaryList"]]
    return sorted(packages, key=lambda package: int(package["ModelPackageVersion"]))


def _described(sagemaker: Any, package: dict[str, Any]) -> ModelVersion:
    return of_package(sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"]))
