"""The endpoint of an environment: a server on this machine, or SageMaker's."""

from mlops.endpoints.local import LocalEndpoint
from mlops.endpoints.port import Endpoint
from mlops.project.target import Target
from mlops.registry.adapters import registry_of


def endpoint_of(target: Target) -> Endpoint | None:
    """Return the endpoint of an environment; None in a project without endpoints (`inference: batch`).

    An environment that models are not deployed to is served on this machine.

    Raises:
        MlopsError: The environment is unknown, or its configuration lacks a value that AWS needs.
    """
    if target.project.answer("inference") == "batch":
        return None
    if target.is_deployed_to:
        from mlops.endpoints.sagemaker import AwsEndpoint  # boto3 costs 0.2 s, which local verbs do not pay

        return AwsEndpoint.of(target)
    return LocalEndpoint(target, registry_of(target))
