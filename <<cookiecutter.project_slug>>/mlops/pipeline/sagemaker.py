"""Pipelines in SageMaker: put a definition there, and start runs of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mlops.base.errors import MlopsError
from mlops.base.outcomes import CREATED, UNCHANGED, UPDATED
from mlops.pipeline.definition import Definition, as_text
from mlops.pipeline.validation import require_usable
from mlops.project.account import Account, aws_errors, is_missing
from mlops.store.s3 import S3Store


@dataclass(frozen=True)
class PipelineService:
    """The pipelines of one account and Region.

    Attributes:
        account: The account.
        store: Its object store, which definitions go through.
    """

    account: Account
    store: S3Store

    def put(self, name: str, text: str, *, key: str, description: str, tags: Mapping[str, str]) -> tuple[str, str]:
        """Create a pipeline, or bring it up to date; nothing is changed when it is so already.

        Args:
            name: The pipeline's name.
            text: The definition.
            key: Where in the bucket the definition is uploaded to: a key named after its content.
            description: What the pipeline is, for people.
            tags: Its tags.

        Returns:
            The pipeline's ARN, and `CREATED`, `UPDATED` or `UNCHANGED`.

        Raises:
            MlopsError: A call failed.
        """
        present = self._describe(name)
        wanted = {"RoleArn": self.account.role, "PipelineDescription": description}
        if present and wanted.items() <= present.items() and _same(present["PipelineDefinition"], text):
            self._tag(present["PipelineArn"], tags)
            return present["PipelineArn"], UNCHANGED
        self.store.put_once(self.account.bucket, key, text.encode())
        request = {
            "PipelineName": name,
            "PipelineDefinitionS3Location": {"Bucket": self.account.bucket, "ObjectKey": key},
            **wanted,
        }
        with aws_errors(f"put the pipeline {name} into SageMaker"):
            if present:
                arn: str = self.account.sagemaker.update_pipeline(**request)["PipelineArn"]
            else:
                # The same for the same request, so that a call repeated after a timeout creates one pipeline.
                token = hashlib.sha256(json.dumps([request, dict(tags)], sort_keys=True).encode()).hexdigest()
                arn = self.account.sagemaker.create_pipeline(**request, ClientRequestToken=token, Tags=_as_list(tags))[
                    "PipelineArn"
                ]
                return arn, CREATED
        self._tag(arn, tags)
        return arn, UPDATED

    def definition(self, name: str) -> Definition:
        """The definition that runs of a pipeline are started from.

        Raises:
            MlopsError: There is no such pipeline.
        """
        present = self._describe(name)
        if present is None:
            raise MlopsError(f"There is no pipeline {name} in {self.account.region}.", "`upsert` it first.")
        return Definition.from_text(present["PipelineDefinition"])

    def start(self, name: str, overrides: Mapping[str, Any], *, token: str | None = None) -> str:
        """Start a run.

        Args:
            name: The pipeline's name.
            overrides: Values of parameters; the others keep their defaults.
            token: Runs asked for with the same token are one run; None for a run of its own.

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
            try:
                present: dict[str, Any] = self.account.sagemaker.describe_pipeline(PipelineName=name)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
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


def _same(present: str, wanted: str) -> bool:
    try:
        return bool(json.loads(present) == json.loads(wanted))
    except json.JSONDecodeError:
        return False
