"""The model registry in SageMaker: the versions of a model package group."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops.aws.account import Account, aws_errors, is_missing
from mlops.aws.store import S3Store
from mlops.errors import MlopsError
from mlops.project import Environment, Project
from mlops.registry import PENDING, ModelVersion, baseline_uris, find, require_baseline

_LONGEST_COMMENT = 1024


@dataclass(frozen=True)
class AwsRegistry:
    """A model package group of an account.

    Attributes:
        account: The account.
        store: Its object store, which archives and reports stand in.
        group: The name of the group; it need not exist before the first registration.
    """

    account: Account
    store: S3Store
    group: str

    @classmethod
    def of(cls, project: Project, environment: Environment) -> "AwsRegistry":
        """The registry of an environment.

        Raises:
            MlopsError: The configuration lacks a value, or the credentials are of another account.
        """
        account = Account.of(project, environment)
        account.verify()
        return cls(account, S3Store(account), project.model_package_group)

    def versions(self) -> list[ModelVersion]:
        """Every version, oldest first (see `Registry.versions`)."""
        sagemaker = self.account.sagemaker
        with aws_errors(f"read the model package group {self.group}"):
            try:
                sagemaker.describe_model_package_group(ModelPackageGroupName=self.group)
            except ClientError as error:
                if is_missing(error):
                    return []
                raise
            pages = sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=self.group, ModelPackageType="Versioned"
            )
            arns = [package["ModelPackageArn"] for page in pages for package in page["ModelPackageSummaryList"]]
            records = [sagemaker.describe_model_package(ModelPackageName=arn) for arn in arns]
        return sorted((_version(record) for record in records), key=lambda version: version.version)

    def decide(self, version: int, status: str, comment: str) -> ModelVersion:
        """Give a version a new approval status (see `Registry.decide`)."""
        if len(comment) > _LONGEST_COMMENT:
            raise MlopsError(
                f"The comment has {len(comment)} characters; SageMaker keeps {_LONGEST_COMMENT}.", exit_code=2
            )
        arn = find(self.versions(), version).arn
        with aws_errors(f"change the status of version {version}"):
            self.account.sagemaker.update_model_package(
                ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=comment
            )
            return _version(self.account.sagemaker.describe_model_package(ModelPackageName=arn))

    def evaluation(self, version: ModelVersion) -> dict[str, Any]:
        """The evaluation report of a version (see `Registry.evaluation`)."""
        report: dict[str, Any] = self.store.read_json(version.evaluation_uri)
        return report

    def download_model(self, version: ModelVersion, folder: Path) -> Path:
        """Bring the model archive of a version into a folder (see `Registry.download_model`)."""
        return self.store.download(version.model_uri, folder)

    def download_baseline(self, version: ModelVersion, folder: Path) -> None:
        """Bring the baseline of a version into a folder (see `Registry.download_baseline`)."""
        for uri in require_baseline(version):
            self.store.download(uri, folder)


def _version(record: dict[str, Any]) -> ModelVersion:
    status = record["ModelApprovalStatus"]
    statistics = record.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
    return ModelVersion(
        version=record["ModelPackageVersion"],
        arn=record["ModelPackageArn"],
        status=status,
        created=record["CreationTime"],
        # SageMaker keeps no time of the decision itself; the last change of a decided version is the nearest it has.
        decided=None if status == PENDING else record.get("LastModifiedTime") or record["CreationTime"],
        comment=record.get("ApprovalDescription", ""),
        model_uri=record["InferenceSpecification"]["Containers"][0].get("ModelDataUrl", ""),
        evaluation_uri=statistics.get("S3Uri", ""),
        baseline_uris=baseline_uris(record),
        metadata=record.get("CustomerMetadataProperties", {}),
    )
