"""Which package is live where: a deployment records it in an SSM parameter once it is known to serve.

No stack holds the parameter: CloudFormation may take for success what SageMaker has rolled back.
"""

from collections.abc import Iterable

from mlops.project.account import Account, aws_errors
from mlops.project.names import Names


def live(account: Account, names: Names, environments: Iterable[str]) -> dict[str, str]:
    """The ARN of the package that is live in each of some environments; one without any is left out.

    Raises:
        MlopsError: The parameters cannot be read.
    """
    parameters = {environment: names.live_parameter(environment) for environment in environments}
    with aws_errors("find out which version is live"):
        found = account.ssm.get_parameters(Names=list(parameters.values()))["Parameters"]
    values = {parameter["Name"]: parameter["Value"] for parameter in found}
    return {environment: values[name] for environment, name in parameters.items() if name in values}


def record(account: Account, names: Names, environment: str, package: str) -> None:
    """Say that a package is live in an environment.

    Raises:
        MlopsError: The parameter cannot be written.
    """
    parameter = {"Name": names.live_parameter(environment), "Value": package, "Type": "String"}
    tags = [{"Key": key, "Value": value} for key, value in names.tags(environment).items()]
    with aws_errors("record which version is live"):
        try:
            account.ssm.put_parameter(**parameter, Tags=tags)
        except account.ssm.exceptions.ParameterAlreadyExists:
            account.ssm.put_parameter(**parameter, Overwrite=True)  # which takes no tags


def forget(account: Account, names: Names, environment: str) -> None:
    """Say that no package is live in an environment any more.

    Raises:
        MlopsError: The parameter cannot be deleted.
    """
    with aws_errors("record that no version is live"):
        account.ssm.delete_parameters(Names=[names.live_parameter(environment)])


def version_of(package: str) -> int:
    """The number of the version in the ARN of a package."""
    return int(package.rpartition("/")[2])
