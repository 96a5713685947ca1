"""Which adapter serves which environment: this machine for `local`, AWS for every other."""

from importlib import import_module
from importlib.util import find_spec

from mlops.endpoint import Endpoint
from mlops.local.platform import LocalPlatform
from mlops.project import LOCAL, Project
from mlops.promotion import ENVIRONMENTS
from mlops.registry import Registry


def registry(project: Project, environment: str) -> Registry:
    """The model registry of an environment.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if environment == LOCAL:
        trainer = project.trainer
        return LocalPlatform(trainer).registry(trainer.model_package_group)
    from mlops.aws.registry import AwsRegistry  # boto3 costs 0.2 s, which local verbs do not pay

    return AwsRegistry.of(project, project.environment(environment))


def endpoint(project: Project, environment: str) -> Endpoint | None:
    """The endpoint of an environment; None in a project that has no server (`inference: batch`).

    An environment that nothing is deployed to has its server on this machine.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if find_spec("mlops.local.endpoint") is None:
        return None
    if environment in ENVIRONMENTS:
        from mlops.aws.endpoint import AwsEndpoint  # as above

        return AwsEndpoint.of(project, environment)
    served: Endpoint = import_module("mlops.local.endpoint").LocalEndpoint(
        project, environment, registry(project, environment)
    )
    return served


def live(project: Project, environment: str) -> dict[str, str]:
    """The ARN of the package that is live in each environment that models are deployed to from a registry.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if environment == LOCAL:
        return {}
    from mlops.aws.account import Account  # as above
    from mlops.aws.live import live

    account = Account.of(project, project.environment(environment))
    return live(account, project.names(environment), ENVIRONMENTS)
