"""The live package of each environment, in an SSM parameter that a deployment writes once the endpoint serves it.

The parameter belongs to no stack, because CloudFormation may report success for an update that SageMaker rolled back.
It is in the account of the environment, in that of the registry, and in those of the functions that promote versions
and sweep what no version names: parameters cannot be read across accounts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from mlops.project.account import Account, aws_errors
from mlops.project.names import Names
from mlops.project.stacks import CICD, OPERATIONS
from mlops.project.target import Target


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


@dataclass(frozen=True)
class Period:
    """The time for which a package was live in an environment.

    Attributes:
        environment: The environment.
        package: The ARN of the package.
        start: When its deployment was complete.
        end: When the next one was live; None while it is live.
    """

    environment: str
    package: str
    start: datetime
    end: datetime | None


def periods(account: Account, names: Names, environments: Iterable[str]) -> list[Period]:
    """Return when which package was live, from the history of the parameters: their last 100 values, oldest first.

    Raises:
        MlopsError: The parameters cannot be read.
    """
    found = []
    for environment in environments:
        values = _history(account, names.live_parameter(environment))
        starts = [entry for number, entry in enumerate(values) if not number or entry[0] != values[number - 1][0]]
        ends = [start for _, start in starts[1:]]
        for (package, start), end in zip_longest(starts, ends):
            found.append(Period(environment, package, start, end))
    return sorted(found, key=lambda period: period.start)


def _history(account: Account, parameter: str) -> list[tuple[str, datetime]]:
    """Return the values of a parameter with their times, oldest first; empty if it does not exist."""
    pages = account.ssm.get_paginator("get_parameter_history").paginate(Name=parameter)
    with aws_errors("find out which versions were live"):
        try:
            entries = [entry for page in pages for entry in page["Parameters"]]
        except account.ssm.exceptions.ParameterNotFound:
            return []
    return [(entry["Value"], entry["LastModifiedDate"]) for entry in sorted(entries, key=lambda one: one["Version"])]


def record(target: Target, package: str) -> None:
    """Record that a package is live in an environment.

    Raises:
        MlopsError: The parameter cannot be written.
    """
    environment = target.environment
    for place in _recorded_in(target):
        ssm, names = place.account.ssm, place.names
        parameter = {"Name": names.live_parameter(environment), "Value": package, "Type": "String"}
        tags = [{"Key": key, "Value": value} for key, value in names.tags(environment).items()]
        with aws_errors("record which version is live"):
            try:
                ssm.put_parameter(**parameter, Tags=tags)
            except ssm.exceptions.ParameterAlreadyExists:
                ssm.put_parameter(**parameter, Overwrite=True)  # no tags with Overwrite


def forget(target: Target) -> None:
    """Record that no package is live in an environment any more.

    Raises:
        MlopsError: The parameter cannot be deleted.
    """
    for place in _recorded_in(target):
        with aws_errors("record that no version is live"):
            place.account.ssm.delete_parameters(Names=[place.names.live_parameter(target.environment)])


def _recorded_in(target: Target) -> list[Target]:
    return list(dict.fromkeys((target, target.registry, target.holding(CICD), target.holding(OPERATIONS))))


def version_of(package: str) -> int:
    """Return the version number in the ARN of a package."""
    return int(package.rpartition("/")[2])
