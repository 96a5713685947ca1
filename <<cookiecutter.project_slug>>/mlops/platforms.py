"""Which adapter serves which environment: this machine for `local`, AWS for every other."""

from mlops.local.platform import LocalPlatform
from mlops.project import LOCAL, Project
from mlops.registry import Registry


def registry(project: Project, environment: str) -> Registry:
    """The model registry of an environment.

    Raises:
        MlopsError: There is no such environment, or its configuration lacks what AWS needs.
    """
    if environment == LOCAL:
        return LocalPlatform(project).registry(project.model_package_group)
    from mlops.aws.registry import AwsRegistry  # boto3 costs 0.2 s, which local verbs do not pay

    return AwsRegistry.of(project, project.environment(environment))
