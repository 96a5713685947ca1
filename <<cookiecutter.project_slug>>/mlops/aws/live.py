"""Which package is live where: each deployment records it in an SSM parameter of its own stack."""

from collections.abc import Iterable

from mlops.aws.account import Account, aws_errors
from mlops.names import Names


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


def version_of(package: str) -> int:
    """The number of the version in the ARN of a package."""
    return int(package.rpartition("/")[2])
