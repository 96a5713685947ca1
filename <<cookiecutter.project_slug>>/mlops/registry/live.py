"""The live package of each environment, in an SSM parameter that a deployment writes once the endpoint serves it.

The parameter belongs to no stack, because CloudFormation may report success for an update that SageMaker rolled back.
"""

from collections.abc import Iterable

from mlops.project.account import Account, aws_errors
from mlops.project.names import Names


def live(account: Account, names: Names, environments: Iterable[str]) -> dict[str, str]:
    """Return the ARN of the live package by environment; environments without one are left out.

    Raises:
        MlopsError: The parameters cannot be read.
    """
    parameters = {environment: names.live_parameter(environment) for environment in environments}
    with aws_errors("find out which version is live"):
        found = account.ssm.get_parameters(Names=list(parameters.values()))["Parameters"]
    values = {parameter["Name"]: parameter["Value"] for parameter in found}
    return {environment: values[name] for environment, name in parameters.items() if name in values}


def record(account: Account, names: Names, environment: str, package: str) -> None:
    """Record that a package is live in an environment.

    Raises:
        MlopsError: The parameter cannot be written.
    """
    parameter = {"Name": names.live_parameter(environment), "Value": package, "Type": "String"}
    tags = [{"Key": key, "Value": value} for key, value in names.tags(environment).items()]
    with aws_errors("record which version is live"):
        try:
            account.ssm.put_parameter(**parameter, Tags=tags)
        except account.ssm.exceptions.ParameterAlreadyExists:
            account.ssm.put_parameter(**parameter, Overwrite=True)  # no tags with Overwrite


def forget(account: Account, names: Names, environment: str) -> None:
    """Record that no package is live in an environment any more.

    Raises:
        MlopsError: The parameter cannot be deleted.
    """
    with aws_errors("record that no version is live"):
        account.ssm.delete_parameters(Names=[names.live_parameter(environment)])


def version_of(package: str) -> int:
    """Return the version number in the ARN of a package."""
    return int(package.rpartition("/")[2])
