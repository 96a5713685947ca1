"""The runs of the training pipeline in an account."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlops.base.commands import MLOPS
from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, UsageError
from mlops.project import pipelines
from mlops.project.account import aws_errors
from mlops.project.target import Target
from mlops.registry.evaluation import metrics
from mlops.registry.sagemaker import AwsRegistry
from mlops.retraining import executions
from mlops.retraining.executions import Execution


@dataclass(frozen=True)
class AwsRuns:
    """The executions of the training pipeline of an environment.

    Attributes:
        target: The environment.
    """

    target: Target

    @classmethod
    def of(cls, target: Target) -> "AwsRuns":
        """Return the runs of an environment.

        Raises:
            MlopsError: Nothing trains there, or the credentials belong to another account.
        """
        require_training(target)
        target.account.verify()
        return cls(target)

    def newest(self, count: int) -> list[Execution]:
        """Return the newest executions, newest first; empty before there is a pipeline.

        Raises:
            MlopsError: An AWS call fails.
        """
        sagemaker, pipeline = self.target.account.sagemaker, self._pipeline
        with aws_errors(f"list the executions of {pipeline}"):
            if executions.declared_parameters(sagemaker, pipeline) is None:
                return []
            found = [executions.describe(sagemaker, arn) for arn in executions.recent(sagemaker, pipeline, count)]
        return [each for each in found if each]

    def find(self, name: str) -> Execution:
        """Return the execution with an id, the last part of its ARN.

        Raises:
            MlopsError: There is none, or an AWS call fails.
        """
        place = self.target.account
        arn = f"arn:aws:sagemaker:{place.region}:{place.id}:pipeline/{self._pipeline}/execution/{name}"
        with aws_errors(f"read the execution {name}"):
            found = executions.describe(place.sagemaker, arn)
        if found is None:
            environment = self.target.environment
            raise MlopsError(f"There is no run {name}.", f"List the runs: {MLOPS} runs --environment {environment}")
        return found

    def figures(self, found: Iterable[Execution]) -> Mapping[str, Mapping[str, float]]:
        """Return the metrics of the versions that executions registered, by ARN.

        Raises:
            MlopsError: The registry cannot be read.
        """
        registered = {each["model_package"] for each in found}
        registry = AwsRegistry.of(self.target)
        return {version.arn: metrics(registry, version) for version in registry.versions() if version.arn in registered}

    @property
    def _pipeline(self) -> str:
        return pipelines.name(self.target.project.slug, pipelines.TRAINING)


def require_training(target: Target) -> None:
    """Make sure that models are trained in an environment.

    Raises:
        MlopsError: They are not.
    """
    if target.is_deployed_to:
        raise UsageError(
            f"Models are trained in {SHARED}, not in {target.environment}.", f"Use --environment {SHARED}."
        )
