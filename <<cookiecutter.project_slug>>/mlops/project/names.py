"""The names of the resources of the stacks, known before deployment, so that compiling needs no AWS."""

import hashlib
from dataclasses import dataclass

from mlops.base.environments import SHARED

_ID_DIGITS = 12


def project_id(account: str, region: str, slug: str) -> str:
    """Return the default id of a project, derived from account, Region and name.

    Returns:
        `p-` and 12 hexadecimal digits, the form of an id that SageMaker gives.
    """
    return "p-" + hashlib.sha256(f"{account}/{region}/{slug}".encode()).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True)
class Names:
    """The names of a project in an account.

    Attributes:
        slug: The project's short name.
        id: The project's id.
    """

    slug: str
    id: str

    def of(self, suffix: str) -> str:
        """Return the name of a bucket or a role, which is globally unique, or unique in the account."""
        return f"sagemaker-{self.slug}-{self.id}-{suffix}"

    @property
    def data_bucket(self) -> str:
        """The bucket of the data, the outputs of pipelines and the functions' code."""
        return self.of("data")

    @property
    def model_bucket(self) -> str:
        """The bucket of the model archives."""
        return self.of("model")

    @property
    def capture_bucket(self) -> str:
        """The bucket of requests and responses of models."""
        return self.of("capt")

    @property
    def artifact_bucket(self) -> str:
        """The bucket of the artifacts of CodePipeline, and of the release."""
        return self.of("cicd")

    @property
    def pipeline_role(self) -> str:
        """The role of the SageMaker pipeline and of its jobs."""
        return self.of("pipe")

    @property
    def monitoring_role(self) -> str:
        """The role of the monitoring pipeline and of its jobs."""
        return self.of("mon")

    def key_alias(self, suffix: str) -> str:
        """Return the alias of one of the keys."""
        return f"alias/{self.slug}-{suffix}"

    @property
    def validate_data_function(self) -> str:
        """The function that checks data before a run starts."""
        return f"{self.slug}-validate-data"

    @property
    def retraining(self) -> str:
        """The function that decides on retraining, its queue and its table."""
        return f"{self.slug}-retraining"

    @property
    def image_pipeline(self) -> str:
        """The CodePipeline that builds the project's own image."""
        return f"{self.slug}-image"

    @property
    def image_parameter(self) -> str:
        """The SSM parameter with the digest of the project's newest image."""
        return f"/{self.slug}/image"

    def tags(self, environment: str) -> dict[str, str]:
        """Return the tags of all resources of an environment."""
        return {
            "sagemaker:project-name": self.slug,
            "sagemaker:project-id": self.id,
            "sagemaker:deployment-stage": environment,
        }

    def endpoint(self, environment: str) -> str:
        """Return the endpoint of an environment."""
        return f"{self.slug}-{environment}"

    def schedule_group(self, environment: str) -> str:
        """Return the group of the schedules of an environment, which carries their tags."""
        return f"{self.slug}-{environment}"

    def schedule(self, environment: str) -> str:
        """Return the schedule of the batch predictions of an environment."""
        return f"{self.slug}-{environment}-transform"

    def stack(self, name: str, environment: str) -> str:
        """Return the CloudFormation stack of a template; names of shared stacks contain no environment."""
        return f"{self.slug}-{name}" if environment == SHARED else f"{self.slug}-{environment}-{name}"

    def live_parameter(self, environment: str) -> str:
        """Return the SSM parameter with the ARN of the package that is live in an environment."""
        return f"/{self.slug}/live/{environment}"
