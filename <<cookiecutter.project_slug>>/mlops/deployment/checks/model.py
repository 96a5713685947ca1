"""What is submitted and registered: the pipelines in SageMaker, a version to deploy, and who may read it."""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.project import pipelines
from mlops.project.account import Account, aws_errors, if_exists
from mlops.project.configuration import DEPLOYED_BY, file_of
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
    group = _group(target)
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


def _group(target: Target) -> str:
    """Return the name of the model package group.

    Raises:
        MlopsError: The configuration does not name it; not a UsageError, which the check of the settings reports.
    """
    try:
        return target.model_package_group
    except UsageError as error:
        raise MlopsError(error.message, error.remedy) from None


def registry_opened(subject: Subject) -> Iterator[Finding]:
    """Yield a finding if the registry is in another account, and its policy does not name the role that deploys here.

    Raises:
        MlopsError: The registry cannot be read, or the configuration does not name it.
    """
    target = subject.target
    if not target.is_deployed_to or target.registry == target:
        return
    group, sagemaker = _group(target), target.registry.account.sagemaker
    with aws_errors(f"read the policy of the model package group {group}"):
        if if_exists(sagemaker.describe_model_package_group, ModelPackageGroupName=group) is None:
            return  # the check of the version reports it
        found = if_exists(sagemaker.get_model_package_group_policy, ModelPackageGroupName=group)
    role = f"arn:aws:iam::{target.account.id}:role/{target.names.of('deploy')}"
    statements = json.loads(found["ResourcePolicy"])["Statement"] if found else []
    if not any(_names(statement, target.account.id, role) for statement in statements):
        yield Finding(
            Level.WARNING,
            what=f"The policy of the model package group {group} in account {target.registry.account.id} does not name "
            f"the role {role}.",
            cost=f"Deployments to {target.environment} fail: CloudFormation cannot create models of versions there.",
            remedy=_open(target),
        )


def _names(statement: Mapping[str, Any], account: str, role: str) -> bool:
    """Return whether a statement allows an account something, and its condition on roles fits one of them."""
    wanted = statement.get("Condition", {}).get("ArnLike", {}).get("aws:PrincipalArn", "*")
    patterns = [wanted] if isinstance(wanted, str) else wanted
    allows = statement["Effect"] == "Allow" and account in json.dumps(statement["Principal"])
    return allows and any(fnmatchcase(role, pattern) for pattern in patterns)


def _open(target: Target) -> str:
    deploy = f"{MLOPS} deploy --environment {SHARED} --stack data --stack registry"
    if not target.project.deploys_only:
        return f"{deploy} --account {target.registry.account_name}"
    own = f'`project: {target.project.slug}` and `{target.environment}: "{target.account.id}"`'
    return f"In the project that trains, set {own} under `{DEPLOYED_BY}` in {file_of(SHARED)}, then: {deploy}"


def _train(target: Target) -> str:
    if target.project.deploys_only:
        return "Train a version in the project that trains"
    return f"Train a version: {MLOPS} upsert --environment {SHARED} --start"
