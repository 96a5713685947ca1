"""The context that a pipeline module builds its pipeline with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.pipeline_context import PipelineSession

from mlops.base.capture import SMOKE
from mlops.base.environments import LOCAL
from mlops.base.payloads import ENDPOINTS
from mlops.pipeline import training_metrics
from mlops.project.environment import Environment
from mlops.project.instances import has_own_disks
from mlops.project.security import Security


@dataclass(frozen=True)
class Context:
    """The context of a pipeline: `context["training.instance_type"]` is a setting in `config/`.

    A project's own settings are under `own`, since other keys must be known: `context["own.rounds"]`.

    Attributes:
        session: The session for SDK classes; it makes no calls to AWS.
        environment: The environment's configuration.
        pipeline_name: The name of the pipeline.
        model_package_group: The group that model versions are registered in, or its ARN in another account; empty if
            none are registered: in a project that trains none, and in experiments.
        project_name: The project's name, as people read it.
        slug: The project's short name, and the prefix of its objects in the bucket.
        region: The AWS Region.
        bucket: The S3 bucket of the environment.
        data_bucket: The S3 bucket of the data: `bucket`, but for experiments in an account of their own.
        model_bucket: The S3 bucket of its model archives; empty in a project that trains none.
        data_key: The ARN of the KMS key that encrypts what jobs write to `bucket`.
        model_key: The ARN of the KMS key that encrypts model archives; empty in a project that trains none.
        security: The configured network isolation, traffic encryption and VPC.
        role: The ARN of the role of this pipeline and its jobs.
        image: The URI of the image that jobs run in.
        inference_image: The URI of the image that a registered model is served in.
        source_folder: The folder of the jobs' code, for `SourceCode(source_dir=...)`.
        model_code: The S3 prefix of the jobs' code: the packages `model` and `modelkit`.
        monitoring_code: The S3 prefix of `modelkit` alone.
        baseline_code: The S3 prefix of the part of `modelkit` that describes data: `modelkit.jobs.baseline`.
        no_champion: The S3 prefix to use without a champion; it contains no model archive.
        lineage: The origin of this definition: commit, digests, image, template version.
    """

    session: PipelineSession
    environment: Environment
    pipeline_name: str
    model_package_group: str
    project_name: str
    slug: str
    region: str
    bucket: str
    data_bucket: str
    model_bucket: str
    data_key: str
    model_key: str
    security: Security
    role: str
    image: str
    inference_image: str
    source_folder: str
    model_code: str
    monitoring_code: str
    baseline_code: str
    no_champion: str
    lineage: Mapping[str, str]

    def __getitem__(self, key: str) -> Any:
        """Return the value at a dotted key of the environment's configuration.

        Raises:
            MlopsError: The key is missing or empty.
        """
        return self.environment[key]

    @property
    def is_local(self) -> bool:
        """Whether the pipeline runs on this machine."""
        return self.environment.name == LOCAL

    @property
    def test_prefix(self) -> str:
        """The prefix of the inference ids of `smoke`'s requests, which are not traffic."""
        return SMOKE

    @property
    def largest_request(self) -> int:
        """The size in bytes of the largest request of any kind of endpoint."""
        return max(payload.request_bytes for payload in ENDPOINTS.values())

    @property
    def takes_metrics(self) -> bool:
        """Whether a training job in `image` may define metrics: SageMaker refuses them where it has its own."""
        return not training_metrics.built_in(self.image)

    def function(self, purpose: str) -> str:
        """Return the ARN of one of the project's Lambda functions.

        Args:
            purpose: The end of its name: `monitoring-collect` is `<slug>-monitoring-collect`.
        """
        return f"arn:aws:lambda:{self.region}:{self['account']}:function:{self.slug}-{purpose}"

    def volume_key(self, job: str) -> str | None:
        """Return the ARN of the KMS key of job volumes; None for instances whose local disks are hardware-encrypted.

        Args:
            job: `processing` or `training`.
        """
        own = has_own_disks(self[f"{job}.instance_type"])
        return None if own else self.security.volume_key or self.data_key

    def number(self, key: str) -> float:
        """Return the number at a dotted key of the environment's configuration.

        Raises:
            MlopsError: The key is missing, or its value is not a number.
        """
        return self.environment.number(key)

    def integer(self, key: str) -> int:
        """Return the integer at a dotted key of the environment's configuration.

        Raises:
            MlopsError: The key is missing, or its value is not an integer.
        """
        return self.environment.integer(key)
