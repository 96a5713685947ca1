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
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, ModelPackageType="Versioned", **only
    )
    arns = [package["ModelPackageArn"] for page in pages for package in page["ModelPackageSummaryList"]]
    records = [sagemaker.describe_model_package(ModelPackageName=arn) for arn in arns]
    return sorted(map(of_package, records), key=lambda version: version.version)
