"""Pipelines in SageMaker: create or update them, and start executions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.base.errors import MlopsError
from mlops.base.outcomes import CREATED, UNCHANGED, UPDATED
from mlops.pipeline.definition import Definition, as_text
from mlops.pipeline.validation import require_usable
from mlops.project.account import Account, aws_errors, if_exists
from mlops.store.s3 import S3Store


@dataclass(frozen=True)
class PipelineService:
    """The pipelines of one account and Region.

    Attributes:
        account: The account.
        store: Its object store, which definitions are uploaded to.
    """

    account: Account
    store: S3Store

    def put(
        self, name: str, text: str, *, role: str, key: str, description: str, tags: Mapping[str, str]
    ) -> tuple[str, str]:
        """Create or update a pipeline; one that is up to date is not changed.

        Args:
            name: The pipeline's name.
            text: The definition.
            role: The ARN of the role of the pipeline and its jobs.
            key: The key that the definition is uploaded to, named by its content.
            description: The description of the pipeline.
            tags: Its tags.

        Returns:
            The pipeline's ARN, and `CREATED`, `UPDATED` or `UNCHANGED`.

        Raises:
            MlopsError: A call failed.
        """
        present = self._describe(name)
        desired = {"RoleArn": role, "PipelineDescription": description}
        if present and desired.items() <= present.items() and _same(present["PipelineDefinition"], text):
            self._tag(present["PipelineArn"], tags)
            return present["PipelineArn"], UNCHANGED
        self.store.put_once(self.account.bucket, key, text.encode())
        request = {
            "PipelineName": name,
            "PipelineDefinitionS3Location": {"Bucket": self.account.bucket, "ObjectKey": key},
            **desired,
        }
        with aws_errors(f"create or update the pipeline {name}"):
            if present:
                arn: str = self.account.sagemaker.update_pipeline(**request)["PipelineArn"]
            else:
                # Derived from the request, so that a call repeated after a timeout creates one pipeline.
                token = hashlib.sha256(json.dumps([request, dict(tags)], sort_keys=True).encode()).hexdigest()
                arn = self.account.sagemaker.create_pipeline(**request, ClientRequestToken=token, Tags=_as_list(tags))[
                    "PipelineArn"
                ]
                return arn, CREATED
        self._tag(arn, tags)
        return arn, UPDATED

    def definition(self, name: str) -> Definition:
        """Return the current definition of a pipeline.

        Raises:
            MlopsError: The pipeline does not exist.
        """
        present = self._describe(name)
        if present is None:
            raise MlopsError(
                f"Pipeline {name} does not exist in {self.account.region}.", "Create it with `upsert` first."
            )
        return Definition.from_text(present["PipelineDefinition"])

    def start(self, name: str, overrides: Mapping[str, Any], *, token: str | None = None) -> str:
        """Start an execution.

        Args:
            name: The pipeline's name.
            overrides: Values of parameters; the others keep their defaults.
            token: An idempotency token: requests with the same token start one execution. None for a new execution.

        Returns:
            The ARN of the execution.

        Raises:
            MlopsError: A parameter is unknown or missing, its value cannot be used, or the call failed.
        """
        definition = self.definition(name)
        values = definition.values(overrides)
        require_usable(definition, overrides)
        request = {
            "PipelineName": name,
            "PipelineParameters": [{"Name": key, "Value": as_text(values[key])} for key in overrides],
        }
        if token is not None:
            request["ClientRequestToken"] = hashlib.sha256(token.encode()).hexdigest()
        with aws_errors(f"start the pipeline {name}"):
            arn: str = self.account.sagemaker.start_pipeline_execution(**request)["PipelineExecutionArn"]
        return arn

    def _describe(self, name: str) -> dict[str, Any] | None:
        with aws_errors(f"look up the pipeline {name}"):
            present: dict[str, Any] | None = if_exists(self.account.sagemaker.describe_pipeline, PipelineName=name)
        return present

    def _tag(self, arn: str, tags: Mapping[str, str]) -> None:
        with aws_errors(f"tag {arn}"):
            pages = self.account.sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
            present = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
            missing = {key: value for key, value in tags.items() if present.get(key) != value}
            if missing:
                self.account.sagemaker.add_tags(ResourceArn=arn, Tags=_as_list(missing))


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _same(present: str, desired: str) -> bool:
    try:
        return bool(json.loads(present) == json.loads(desired))
    except json.JSONDecodeError:
        return False
