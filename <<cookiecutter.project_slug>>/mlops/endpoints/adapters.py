"""Which adapter serves which environment: this machine for `local`, AWS for every other."""

from mlops.base.environments import ENVIRONMENTS
from mlops.endpoints.local import LocalEndpoint
from mlops.endpoints.port import Endpoint
from mlops.project.project import Project
from mlops.registry.adapters import registry


def endpoint(project: Project, environment: str) -> Endpoint | None:
    """The endpoint of an environment; None in a project that has no server (`inference: batch`).

    An environment that nothing is deployed to has its server on this machine.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if project.answer("inference") == "batch":
        return None
    if environment in ENVIRONMENTS:
        from mlops.endpoints.sagemaker import AwsEndpoint  # as above

        return AwsEndpoint.of(project, environment)
    return LocalEndpoint(project, environment, registry(project, environment))
