"""The registry of an environment: a folder on this machine, or SageMaker."""

from mlops.base.environments import ENVIRONMENTS
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.registry.port import Registry


def registry_of(target: Target) -> Registry:
    """The model registry of an environment.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if target.is_local:
        return LocalRegistry.of(target.trainer)
    from mlops.registry.sagemaker import AwsRegistry  # boto3 costs 0.2 s, which local verbs do not pay

    return AwsRegistry.of(target)


def live_packages(target: Target) -> dict[str, str]:
    """The ARN of the package that is live in each environment that models are deployed to from a registry.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if target.is_local:
        return {}
    from mlops.registry.live import live  # as above

    return live(target.account, target.names, ENVIRONMENTS)
