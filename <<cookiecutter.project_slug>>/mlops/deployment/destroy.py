"""Removing what was deployed: the stacks in the reverse of their order, and what failed ones have left behind."""

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
from mlops.project.account import aws_errors, is_missing
from mlops.project.target import Target
from mlops.registry.live import forget

_KINDS = ("Endpoint", "EndpointConfig", "Model", "Pipeline")
"""What of SageMaker may be left behind, in the order in which it can be deleted."""

_BUCKET = "AWS::S3::Bucket"
_BY_HAND = {
    _BUCKET: "empty it with all versions (S3 console: Empty), then aws s3api delete-bucket --bucket {id}",
    "AWS::KMS::Key": "aws kms schedule-key-deletion --key-id {id}",
    "AWS::Logs::LogGroup": "aws logs delete-log-group --log-group-name {id}",
    "AWS::ECR::Repository": "aws ecr delete-repository --force --repository-name {id}",
    "AWS::SageMaker::ModelPackageGroup": "delete its versions, then "
    "aws sagemaker delete-model-package-group --model-package-group-name {id}",
}
"""How a person removes what outlives its stack."""


@dataclass(frozen=True)
class Retained:
    """What outlives its stack on purpose.

    Attributes:
        type: Its type.
        id: Its physical id.
        remedy: How to remove it by hand.
    """

    type: str
    id: str
    remedy: str


@dataclass(frozen=True)
class Removed:
    """What a removal has done.

    Attributes:
        stacks: The stacks that are gone.
        leftovers: What else is gone: what failed stacks had left behind.
        retained: What is still there.
    """

    stacks: tuple[str, ...]
    leftovers: tuple[str, ...]
    retained: tuple[Retained, ...]


@dataclass
class Removal:
    """A removal under way.

    Attributes:
        target: The environment.
        only: Names of its stacks; none for all of them, and all that is left of the environment.
        say: Tells the reader how things go.
        clock: The time.
    """

    target: Target
    only: Sequence[str]
    say: Callable[[str], None]
    clock: Clock = time

    def __post_init__(self) -> None:
        self.chosen = stacks.selected(self.target.stacks, self.only)
        self.account, self.names = self.target.account, self.target.names
        self.service = StackService(self.account, self.target.project.slug, self.say, self.clock)

    def standing(self) -> list[str]:
        """The names of the stacks that are to be removed, in the order of their removal.

        Raises:
            MlopsError: Other environments stand on them, or the credentials are of another account.
        """
        self.account.verify()
        above = [one for one in ENVIRONMENTS if self.target.environment == SHARED and self._stands(one)]
        if above:
            raise UsageError(
                f"What is deployed to {' and '.join(above)} stands on the stacks of {SHARED}.",
                f"Remove that first: {MLOPS} destroy --environment {above[0]}",
            )
        names = [self.names.stack(stack.name, self.target.environment) for stack in reversed(self.chosen)]
        return [name for name in names if self.service.describe(name)]

    def run(self, standing: Sequence[str]) -> Removed:
        """Remove stacks, then what is left of the environment.

        Args:
            standing: The names of the stacks, in the order of their removal.

        Raises:
            MlopsError: Something cannot be removed; run again, it goes on where it ended.
        """
        retained: list[Retained] = []
        for name in standing:
            template = self.service.template(name)
            kept = list(self._retained(name, template))
            self._empty_buckets(name, {one.id for one in kept})
            self.say(f"{name} is being deleted.")
            self.service.delete(name)
            retained += kept
        # Also if a removal that ended early deleted the stack already.
        if any(PACKAGE in templates.read(self.target.project.root, stack).parameters for stack in self.chosen):
            forget(self.account, self.names, self.target.environment)
        leftovers = () if self.only else tuple(self._remove_leftovers())
        return Removed(tuple(standing), leftovers, tuple(retained))

    def _stands(self, environment: str) -> bool:
        """Whether any stack of an environment is there, with a template in this project or without."""
        names = [self.names.stack(stack.name, environment) for stack in stacks.TABLE if not stack.shared]
        return any(self.service.describe(name) for name in names)

    def _retained(self, name: str, template: Template) -> Iterator[Retained]:
        for logical in template.retained():
            type_ = template.resources[logical]["Type"]
            physical = self.service.resources(name, type_).get(logical)
            if physical:
                remedy = _BY_HAND.get(type_, "delete it in the console").format(id=physical)
                yield Retained(type_, physical, remedy)

    def _empty_buckets(self, name: str, kept: set[str]) -> None:
        """Delete what is in a stack's buckets: CloudFormation deletes empty ones only."""
        for bucket in self.service.resources(name, _BUCKET).values():
            if bucket not in kept:
                with aws_errors(f"empty the bucket {bucket}"):
                    self._empty(bucket)

    def _empty(self, bucket: str) -> None:
        s3, owner = self.account.s3, {"Bucket": bucket, "ExpectedBucketOwner": self.account.id}
        for page in s3.get_paginator("list_object_versions").paginate(**owner):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if found:
                objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                answer = s3.delete_objects(**owner, Delete={"Objects": objects, "Quiet": True})
                for error in answer.get("Errors", []):
                    raise MlopsError(f"Cannot delete s3://{bucket}/{error['Key']}: {error['Message']}")

    def _remove_leftovers(self) -> Iterator[str]:
        """Delete what is tagged as the environment's and belongs to no stack any more."""
        AwsEndpoint(self.account, self.names, self.target.environment, queued=False, clock=self.clock).settle()
        for kind in _KINDS:
            for name, arn in list(self._tagged(kind)):
                with aws_errors(f"delete {arn}"):
                    self._delete(kind, name)
                self.say(f"{kind} {name}, which no stack held, is deleted.")
                yield arn

    def _tagged(self, kind: str) -> Iterator[tuple[str, str]]:
        """Name and ARN of what is tagged as the environment's."""
        wanted = self.names.tags(self.target.environment).items()
        with aws_errors("look for what failed stacks have left behind"):
            for one in self._listed(kind):
                # Lists may have ARNs in lower case, by which nothing is found: https://github.com/boto/boto3/issues/4606
                name, place = one[f"{kind}Name"], one[f"{kind}Arn"].rpartition("/")[0]
                if wanted <= self._tags(f"{place}/{name}"):
                    yield name, f"{place}/{name}"

    def _tags(self, arn: str) -> set[tuple[str, str]]:
        """The tags of something; none when it has gone since it was listed."""
        pages = self.account.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
        try:
            return {(tag["Key"], tag["Value"]) for page in pages for tag in page["Tags"]}
        except ClientError as error:
            if is_missing(error):
                return set()
            raise

    def _listed(self, kind: str) -> Iterator[dict[str, Any]]:
        operation = f"list_{_snake(kind)}s"
        for page in self.account.sagemaker.get_paginator(operation).paginate():
            yield from page.get(f"{kind}s") or page.get(f"{kind}Summaries") or []

    def _delete(self, kind: str, name: str) -> None:
        operation = getattr(self.account.sagemaker, f"delete_{_snake(kind)}")
        operation(**{f"{kind}Name": name})


def _snake(kind: str) -> str:
    return "endpoint_config" if kind == "EndpointConfig" else kind.lower()
