"""Which registry is that of which environment."""

from mlops.base.environments import ENVIRONMENTS, LOCAL
from mlops.project.project import Project
from mlops.registry.port import Registry
from mlops.run.platform import LocalPlatform


def registry(project: Project, environment: str) -> Registry:
    """The model registry of an environment.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if environment == LOCAL:
        trainer = project.trainer
        return LocalPlatform(trainer).registry(trainer.model_package_group)
    from mlops.registry.sagemaker import AwsRegistry  # boto3 costs 0.2 s, which local verbs do not pay

    return AwsRegistry.of(project, project.environment(environment))


def live(project: Project, environment: str) -> dict[str, str]:
    """The ARN of the package that is live in each environment that models are deployed to from a registry.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if environment == LOCAL:
        return {}
    from mlops.project.account import Account  # as above
    from mlops.registry.live import live

    account = Account.of(project, project.environment(environment))
    return live(account, project.names(environment), ENVIRONMENTS)
