"""Submit the bundle of an environment to its AWS account, and start the pipeline."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.base.files import DIGEST_LENGTH
from mlops.pipeline import bundle
from mlops.pipeline.sagemaker import PipelineService
from mlops.project import image, keys, pipelines
from mlops.project.lookups import key_of_alias, newest_image
from mlops.project.stacks import CICD
from mlops.project.target import Target
from mlops.store.s3 import S3Store


@dataclass(frozen=True)
class Submission:
    """The result of the submission of one pipeline.

    Attributes:
        pipeline_arn: The pipeline's ARN.
        outcome: `created`, `updated` or `unchanged`.
        definition_sha256: SHA-256 of the definition that is now in SageMaker.
        uploaded: The URIs of the uploaded objects.
    """

    pipeline_arn: str
    outcome: str
    definition_sha256: str
    uploaded: list[str]


def look_up(target: Target) -> None:
    """Look up what the configuration of an environment leaves to AWS: the newest image and the project's keys.

    Raises:
        MlopsError: No image has been built or no key created yet, or an AWS call fails.
    """
    owner, unnamed = image.configured_in(target), keys.unnamed(target)
    if image.takes_newest(owner):
        builder = target.holding(CICD)
        builder.account.verify()
        image.remember(owner, newest_image(builder.account, builder.names))
    if unnamed:
        target.account.verify()
    for key in unnamed:
        keys.remember(target, key, key_of_alias(target.account, keys.alias(target, key), key))


def submit(target: Target, pipeline: str = pipelines.TRAINING) -> Submission:
    """Bring a pipeline of an environment up to date with the sources.

    Uploads missing objects and the bundle's manifest, then creates or updates the pipeline. If nothing has changed,
    only read calls are made.

    Raises:
        MlopsError: The configuration is incomplete, the sources do not compile, or an AWS call fails.
    """
    compiled, account = bundle.current(target, pipeline), target.account
    account.verify()
    store = S3Store(account)
    store.require_bucket()
    uploaded = store.upload_missing(compiled.objects)
    manifest = json.dumps(compiled.manifest, indent=2, sort_keys=True).encode()
    version = hashlib.sha256(manifest).hexdigest()[:DIGEST_LENGTH]
    manifest_key = f"{target.project.slug}/manifests/{compiled.definition_sha256[:DIGEST_LENGTH]}-{version}.json"
    if store.put_once(account.bucket, manifest_key, manifest):
        uploaded.append(f"s3://{account.bucket}/{manifest_key}")
    arn, outcome = PipelineService(account, store).put(
        compiled.pipeline_name,
        compiled.definition_text,
        role=bundle.role(target, pipeline),
        key=f"{target.project.slug}/definitions/{compiled.definition_sha256[:DIGEST_LENGTH]}.json",
        description=target.project.answer("project_description"),
        tags=target.names.tags(target.environment),
    )
    return Submission(arn, outcome, compiled.definition_sha256, uploaded)


def start(target: Target, pipeline: str, overrides: Mapping[str, Any], *, token: str | None = None) -> str:
    """Start an execution of a pipeline.

    Args:
        target: The environment whose pipeline is started.
        pipeline: The pipeline's name.
        overrides: Values of pipeline parameters; the others have their defaults.
        token: An idempotency token: requests with the same token start one execution. None for a new execution.

    Returns:
        The ARN of the execution.

    Raises:
        MlopsError: A parameter cannot be used, or an AWS call fails.
    """
    target.account.verify()
    return PipelineService(target.account, S3Store(target.account)).start(pipeline, overrides, token=token)
