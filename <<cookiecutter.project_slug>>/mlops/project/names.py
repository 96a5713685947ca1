"""The names of what the stacks make: known before anything is deployed, so that compiling needs no AWS."""

import hashlib
from dataclasses import dataclass

from mlops.base.environments import SHARED

_ID_DIGITS = 12


def project_id(account: str, region: str, slug: str) -> str:
    """The id of a project that has none of its own: the same for the same account, Region and name.

    Returns:
        `p-` and 12 hexadecimal digits, the form of an id that SageMaker gives.
    """
    return "p-" + hashlib.sha256(f"{account}/{region}/{slug}".encode()).hexdigest()[:_ID_DIGITS]


def training_pipeline(slug: str) -> str:
    """The SageMaker pipeline that trains; also this machine's, where a project has no id."""
    return f"{slug}-training"


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
        """The name of a bucket or a role: alone in the world, or in the account."""
        return f"sagemaker-{self.slug}-{self.id}-{suffix}"

    @property
    def data_bucket(self) -> str:
        """The bucket of the data, of what the pipelines write, and of the functions' code."""
        return self.of("data")

    @property
    def model_bucket(self) -> str:
        """The bucket of the model archives."""
        return self.of("model")

    @property
    def capture_bucket(self) -> str:
        """The bucket of what models are asked and answer."""
        return self.of("capt")

    @property
    def artifact_bucket(self) -> str:
        """The bucket of what CodePipeline hands from stage to stage, and of the release."""
        return self.of("cicd")

    @property
    def pipeline_role(self) -> str:
        """The role of the SageMaker pipeline and of its jobs."""
        return self.of("pipe")

    def key_alias(self, suffix: str) -> str:
        """The alias of one of the keys."""
        return f"alias/{self.slug}-{suffix}"

    @property
    def validate_data_function(self) -> str:
        """The function that looks at data before a run is started on it."""
        return f"{self.slug}-validate-data"

    @property
    def image_pipeline(self) -> str:
        """The CodePipeline that builds the project's own image."""
        return f"{self.slug}-image"

    @property
    def image_parameter(self) -> str:
        """The SSM parameter that holds the digest of the newest image of the project's own."""
        return f"/{self.slug}/image"

    def tags(self, environment: str) -> dict[str, str]:
        """What everything that is made for an environment is tagged with."""
        return {
            "sagemaker:project-name": self.slug,
            "sagemaker:project-id": self.id,
            "sagemaker:deployment-stage": environment,
        }

    def endpoint(self, environment: str) -> str:
        """The endpoint of an environment."""
        return f"{self.slug}-{environment}"

    def schedule_group(self, environment: str) -> str:
        """The group of the schedules of an environment, which carries their tags."""
        return f"{self.slug}-{environment}"

    def schedule(self, environment: str) -> str:
        """The schedule of the batch predictions of an environment."""
        return f"{self.slug}-{environment}-transform"

    def stack(self, name: str, environment: str) -> str:
        """The CloudFormation stack of a template; one that all environments share does not name any."""
        return f"{self.slug}-{name}" if environment == SHARED else f"{self.slug}-{environment}-{name}"

    def live_parameter(self, environment: str) -> str:
        """The SSM parameter that holds the ARN of the package that is live in an environment."""
        return f"/{self.slug}/live/{environment}"
