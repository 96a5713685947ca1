"""The registry of an environment: a folder on this machine, or SageMaker."""

from typing import TYPE_CHECKING

from mlops.base.environments import ENVIRONMENTS
from mlops.project.stacks import ARTIFACTS
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.registry.port import Registry

if TYPE_CHECKING:
    from mlops.registry.live import Period


def registry_of(target: Target) -> Registry:
    """Return the model registry of an environment.

    Raises:
        MlopsError: The environment is unknown, or its configuration lacks a value that AWS needs.
    """
    if target.is_local:
        return LocalRegistry.of(target.trainer)
    from mlops.registry.sagemaker import AwsRegistry  # boto3 costs 0.2 s, which local verbs do not pay

    return AwsRegistry.of(target)


def live_packages(target: Target) -> dict[str, str]:
    """Return the ARN of the live package of each environment that models are deployed to.

    Raises:
        MlopsError: The environment is unknown, or its configuration lacks a value that AWS needs.
    """
    if target.is_local:
        return {}
    from mlops.registry.live import live  # as above

    place = target.own(ARTIFACTS)
    return live(place.account, place.names, ENVIRONMENTS)


def live_periods(target: Target) -> "list[Period]":
    """Return when which package was live in which environment, oldest first; none on this machine.

    Raises:
        MlopsError: The environment is unknown, or its configuration lacks a value that AWS needs.
    """
    if target.is_local:
        return []
    from mlops.registry.live import periods  # as above

    place = target.own(ARTIFACTS)
    return periods(place.account, place.names, ENVIRONMENTS)
