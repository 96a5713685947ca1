"""Remove the stacks of an environment in reverse order, and the resources that failed deployments left behind."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.base.waiting import Clock
from mlops.deployment import templates
from mlops.deployment.cloudformation import StackService
from mlops.deployment.rollout import PACKAGE
from mlops.deployment.templates import Template
from mlops.endpoints.sagemaker import AwsEndpoint
from mlops.project import stacks
from mlops.project.account import Account, aws_errors, is_missing
from mlops.project.stacks import EXPERIMENTATION
from mlops.project.target import Target
from mlops.registry.live import forget

_KINDS = ("Endpoint", "EndpointConfig", "Model", "Pipeline")
"""SageMaker resources that may be left behind, in the order of their deletion."""

_BUCKET = "AWS::S3::Bucket"
_BY_HAND = {
    _BUCKET: "empty it with all versions (S3 console: Empty), then aws s3api delete-bucket --bucket {id}",
    "AWS::KMS::Key": "aws kms schedule-key-deletion --key-id {id}",
    "AWS::Logs::LogGroup": "aws logs delete-log-group --log-group-name {id}",
    "AWS::ECR::Repository": "aws ecr delete-repository --force --repository-name {id}",
    "AWS::SageMaker::ModelPackageGroup": "delete its versions, then "
    "aws sagemaker delete-model-package-group --model-package-group-name {id}",
}
"""The manual steps that delete a retained resource, by type."""


@dataclass(frozen=True)
class Retained:
    """A resource that outlives its stack on purpose.

    Attributes:
        type: Its type.
        id: Its physical id.
        remedy: How to delete it by hand.
    """

    type: str
    id: str
    remedy: str


@dataclass(frozen=True)
class Existing:
    """A stack to remove.

    Attributes:
        name: Its name.
        account: The name of its account.
    """

    name: str
    account: str


@dataclass(frozen=True)
class Removed:
    """The result of a removal.

    Attributes:
        stacks: The names of the removed stacks.
        leftovers: The ARNs of other removed resources, which failed stacks had left behind.
        retained: The retained resources.
    """

    stacks: tuple[str, ...]
    leftovers: tuple[str, ...]
    retained: tuple[Retained, ...]


@dataclass
class Removal:
    """A removal in progress.

    Attributes:
        target: The environment.
        only: The names of the stacks; empty for all, and all leftovers of the environment.
        account_name: The name of the account; None for all.
        report: Prints progress.
        clock: The clock; tests replace it.
    """

    target: Target
    only: Sequence[str]
    account_name: str | None
    report: Callable[[str], None]
    clock: Clock = time

    def __post_init__(self) -> None:
        self.chosen = stacks.selected(self.target.stacks, self.only, self.account_name)
        accounts = dict.fromkeys(one.account for one in self.chosen)
        self.places = {account: self.target.in_account(account) for account in accounts}
        self.services = {
            account: StackService(place.account, self.target.project.slug, self.report, self.clock)
            for account, place in self.places.items()
        }

    def existing_stacks(self) -> list[Existing]:
        """Return the stacks to remove, in the order of their removal.

        Raises:
            MlopsError: Other environments depend on them, or the credentials belong to another account.
        """
        for place in self.places.values():
            place.account.verify()
        dependents = [one for one in ENVIRONMENTS if self.target.environment == SHARED and self._is_deployed(one)]
        if dependents:
            raise UsageError(
                f"The stacks of {' and '.join(dependents)} depend on the stacks of {SHARED}.",
                f"Remove those first: {MLOPS} destroy --environment {dependents[0]}",
            )
        existing = [
            Existing(self.target.names.stack(one.stack.name, self.target.environment), one.account)
            for one in reversed(self.chosen)
        ]
        return [one for one in existing if self.services[one.account].describe(one.name)]

    def run(self, existing: Sequence[Existing]) -> Removed:
        """Remove stacks, then the leftovers of the environment.

        Args:
            existing: The stacks, in the order of their removal.

        Raises:
            MlopsError: Something cannot be removed; another run continues where this one stopped.
        """
        retained: list[Retained] = []
        for one in existing:
            service = self.services[one.account]
            template = service.template(one.name)
            kept = list(_retained(service, one.name, template))
            _empty_buckets(service, one.name, {each.id for each in kept})
            self.report(f"Deleting {one.name}.")
            service.delete(one.name)
            retained += kept
        # Also after an interrupted removal that had already deleted the stack.
        if any(PACKAGE in templates.read(self.target.project.root, one.stack).parameters for one in self.chosen):
            forget(self.target)
        leftovers = () if self.only else tuple(self._remove_leftovers())
        return Removed(tuple(one.name for one in existing), leftovers, tuple(retained))

    def _is_deployed(self, environment: str) -> bool:
        """Return whether any stack of an environment exists, with or without a template in this project."""
        account = self.target.at(environment).account_name
        if account not in self.services:
            return False
        names = [self.target.names.stack(stack.name, environment) for stack in stacks.TABLE if not stack.shared]
        return any(self.services[account].describe(name) for name in names)

    def _remove_leftovers(self) -> Iterator[str]:
        """Delete resources that have the environment's tags and belong to no stack any more.

        Experiments end with `dev`, whose stacks they need.
        """
        ending, experiments = [self.target], self.target.at(EXPERIMENTATION)
        if self.target.environment == SHARED and experiments.experiments:
            ending.append(experiments)
        for environment in (one for one in ending if one.account_name in self.places):
            if environment is self.target:
                AwsEndpoint.of(self.target, self.clock).settle()
            for kind in _KINDS:
                for name, arn in list(_tagged(environment, kind)):
                    with aws_errors(f"delete {arn}"):
                        _delete(environment.account, kind, name)
                    self.report(f"Deleted {kind} {name}, which belonged to no stack.")
                    yield arn


def _tagged(environment: Target, kind: str) -> Iterator[tuple[str, str]]:
    """Yield name and ARN of the resources with an environment's tags."""
    account, tags = environment.account, environment.names.tags(environment.environment).items()
    with aws_errors("look for resources that failed stacks left behind"):
        for one in _listed(account, kind):
            # Listed ARNs may be in lower case, which other calls do not find: https://github.com/boto/boto3/issues/4606
            name, place = one[f"{kind}Name"], one[f"{kind}Arn"].rpartition("/")[0]
            if tags <= _tags(account, f"{place}/{name}"):
                yield name, f"{place}/{name}"


def _tags(account: Account, arn: str) -> set[tuple[str, str]]:
    """Return the tags of a resource; empty if it was deleted after it was listed."""
    pages = account.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    try:
        return {(tag["Key"], tag["Value"]) for page in pages for tag in page["Tags"]}
    except ClientError as error:
        if is_missing(error):
            return set()
        raise


def _listed(account: Account, kind: str) -> Iterator[dict[str, Any]]:
    for page in account.sagemaker.get_paginator(f"list_{_snake(kind)}s").paginate():
        yield from page.get(f"{kind}s") or page.get(f"{kind}Summaries") or []


def _delete(account: Account, kind: str, name: str) -> None:
    getattr(account.sagemaker, f"delete_{_snake(kind)}")(**{f"{kind}Name": name})


def _retained(service: StackService, name: str, template: Template) -> Iterator[Retained]:
    for logical in template.retained():
        type_ = template.resources[logical]["Type"]
        physical = service.resources(name, type_).get(logical)
        if physical:
            remedy = _BY_HAND.get(type_, "delete it in the AWS console").format(id=physical)
            yield Retained(type_, physical, remedy)


def _empty_buckets(service: StackService, name: str, kept: set[str]) -> None:
    """Delete the objects in a stack's buckets: CloudFormation deletes only empty buckets."""
    for bucket in service.resources(name, _BUCKET).values():
        if bucket not in kept:
            with aws_errors(f"empty the bucket {bucket}"):
                _empty(service.account, bucket)


def _empty(account: Account, bucket: str) -> None:
    s3, owner = account.s3, {"Bucket": bucket, "ExpectedBucketOwner": account.id}
    for page in s3.get_paginator("list_object_versions").paginate(**owner):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            response = s3.delete_objects(**owner, Delete={"Objects": objects, "Quiet": True})
            for error in response.get("Errors", []):
                raise MlopsError(f"Cannot delete s3://{bucket}/{error['Key']}: {error['Message']}")


def _snake(kind: str) -> str:
    return "endpoint_config" if kind == "EndpointConfig" else kind.lower()
