"""The model registry in SageMaker: the versions of a model package group."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.base.errors import UsageError
from mlops.project.account import Account, aws_errors, if_exists
from mlops.project.stacks import DATA_LAKE
from mlops.project.target import Target
from mlops.registry import packages
from mlops.registry.versions import APPROVED, ModelVersion, find, of_package, require_baseline, with_approval
from mlops.store.s3 import S3Store

_LONGEST_COMMENT = 1024


@dataclass(frozen=True)
class AwsRegistry:
    """A model package group of an account.

    Attributes:
        account: The account.
        store: The object store of archives and reports.
        group: The name of the group; created with the first registration.
        reports: The object store of reports, if it is another one.
    """

    account: Account
    store: S3Store
    group: str
    reports: S3Store | None = None

    @classmethod
    def of(cls, target: Target) -> "AwsRegistry":
        """Return the registry of an environment.

        Raises:
            MlopsError: The configuration lacks a value, or the credentials belong to another account.
        """
        account = target.registry.account
        account.verify()
        # Who is in the account of the registry reads reports from there; who enters it enters that of the reports, too.
        reports = S3Store(target.holding(DATA_LAKE).account) if account.is_entered else None
        return cls(account, S3Store(account), target.model_package_group, reports)

    def versions(self) -> list[ModelVersion]:
        """Return all versions, oldest first (see `Registry.versions`)."""
        sagemaker = self.account.sagemaker
        with aws_errors(f"read the model package group {self.group}"):
            if if_exists(sagemaker.describe_model_package_group, ModelPackageGroupName=self.group) is None:
                return []
            return packages.versions(sagemaker, self.group)

    def decide(self, version: int, status: str, comment: str) -> ModelVersion:
        """Set the approval status of a version (see `Registry.decide`)."""
        if len(comment) > _LONGEST_COMMENT:
            raise UsageError(f"The comment has {len(comment)} characters; SageMaker allows {_LONGEST_COMMENT}.")
        found = find(self.versions(), version)
        metadata = (
            {"CustomerMetadataProperties": with_approval(found.metadata, datetime.now(UTC), self.account.caller)}
            if status == APPROVED
            else {}
        )
        with aws_errors(f"change the status of version {version}"):
            self.account.sagemaker.update_model_package(
                ModelPackageArn=found.arn, ModelApprovalStatus=status, ApprovalDescription=comment, **metadata
            )
            return of_package(self.account.sagemaker.describe_model_package(ModelPackageName=found.arn))

    def evaluation(self, version: ModelVersion) -> Any:
        """Return the evaluation report of a version (see `Registry.evaluation`)."""
        return (self.reports or self.store).read_json(version.evaluation_uri)

    def download_model(self, version: ModelVersion, folder: Path) -> Path:
        """Download the model archive of a version into a folder (see `Registry.download_model`)."""
        return self.store.download(version.model_uri, folder)

    def download_baseline(self, version: ModelVersion, folder: Path) -> None:
        """Download the baseline of a version into a folder (see `Registry.download_baseline`)."""
        for uri in require_baseline(version):
            (self.reports or self.store).download(uri, folder)
