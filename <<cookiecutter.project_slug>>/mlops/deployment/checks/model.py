"""What is submitted and registered: the pipelines in SageMaker, and a version to deploy."""

from collections.abc import Iterator

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project import pipelines
from mlops.project.account import Account, aws_errors, if_exists
from mlops.project.target import Target
from mlops.registry.versions import APPROVED


def pipelines_submitted(subject: Subject) -> Iterator[Finding]:
    """Yield the pipelines that are not in SageMaker yet.

    Raises:
        MlopsError: A pipeline cannot be looked up.
    """
    target = subject.target
    names = [pipelines.name(target.project.slug, one) for one in pipelines.submitted(target)]
    if absent := [name for name in names if not _exists(target.account, name)]:
        yield Finding(
            Level.PENDING,
            what=f"Pipelines that are not in SageMaker yet: {', '.join(absent)}.",
            cost="They do not run in AWS.",
            remedy=f"{MLOPS} upsert --environment {target.environment}, or push to the repository.",
        )


def _exists(account: Account, pipeline: str) -> bool:
    with aws_errors(f"look up the pipeline {pipeline}"):
        return if_exists(account.sagemaker.describe_pipeline, PipelineName=pipeline) is not None


def version_approved(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if there is no approved version to deploy.

    Raises:
        MlopsError: The registry cannot be read, or the configuration does not name it.
    """
    target = subject.target
    if not set(ENVIRONMENTS) & subject.chosen.keys():
        return
    try:
        group = target.model_package_group
    except UsageError as error:  # the check of the settings reports it
        raise MlopsError(error.message, error.remedy) from None
    with aws_errors(f"read the model package group {group}"):
        found = if_exists(
            target.registry.account.sagemaker.list_model_packages,
            ModelPackageGroupName=group,
            ModelPackageType="Versioned",
            ModelApprovalStatus=APPROVED,
            MaxResults=1,
        )
    if found is None or not found["ModelPackageSummaryList"]:
        yield Finding(
            Level.PENDING,
            what="No approved version to deploy.",
            cost="`deploy` to staging and production needs one.",
            remedy=f"{_train(target)}, and approve it: {MLOPS} approve VERSION --environment {SHARED}",
        )


def _train(target: Target) -> str:
    if target.project.deploys_only:
        return "Train a version in the project that trains"
    return f"Train a version: {MLOPS} upsert --environment {SHARED} --start"
