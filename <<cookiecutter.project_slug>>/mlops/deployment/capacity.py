"""The service quotas for instances, concurrent requests and builds that a configuration uses."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlops.base.environments import ENVIRONMENTS, IN_AWS
from mlops.base.errors import UsageError
from mlops.deployment import templates
from mlops.deployment.guardrails import strategy
from mlops.deployment.rollout import SHADOW
from mlops.deployment.templates import Template
from mlops.project.configuration import BASE, file_of
from mlops.project.environment import Environment
from mlops.project.stacks import Placed, account_of
from mlops.project.target import Target

ALL_SERVERLESS = "Maximum total concurrency that can be allocated across all serverless endpoints"
ALL_ENDPOINTS = "Number of instances across active endpoints"
_COMPUTE_TYPE = "BUILD_GENERAL1_MEDIUM"
_SIDE_BY_SIDE = 2
"""Processing jobs of the training pipeline that may run concurrently: Baseline and Evaluate."""


@dataclass(frozen=True)
class Amount:
    """An amount of a quota.

    Attributes:
        lasting: The amount in steady state.
        passing: The additional amount during an update.
    """

    lasting: int
    passing: int = 0


@dataclass(frozen=True)
class Use:
    """The use of a quota by a stack of an environment.

    Attributes:
        service: The code of the service in Service Quotas.
        quota: The quota's name there.
        environment: The environment.
        stack: The name of the stack.
        what: What uses it, for messages.
        least: The use after a deployment.
        most: The use under maximum load.
    """

    service: str
    quota: str
    environment: str
    stack: str
    what: str
    least: Amount
    most: Amount


def total(amounts: Iterable[Amount]) -> int:
    """Return the total of several uses of a quota: only one environment is updated at a time."""
    amounts = list(amounts)
    return sum(each.lasting for each in amounts) + max((each.passing for each in amounts), default=0)


def uses(target: Target, account: str) -> Iterator[Use]:
    """Yield the uses of quotas by the environments in an account, in the order of their deployment.

    Raises:
        MlopsError: A value in the configuration is not a number.
    """
    for name in IN_AWS:
        if not (target.project.root / file_of(name)).is_file():
            continue
        other = target.at(name)
        for one in other.stacks:
            place = other.in_account(one.account)
            if place.settings.settings.get("account") == account:
                try:
                    yield from _uses(place, one, name)
                except ValueError as error:
                    files = f"{BASE} or {place.settings.path}"
                    raise UsageError(f"{files} has an invalid number: {error}.", "Correct it.") from None


def _uses(place: Target, one: Placed, environment: str) -> Iterator[Use]:
    template = templates.read(place.project.root, one.stack)
    section = place.settings.stack(one.stack.name)
    settings = {templates.parameter_of(key): str(value) for key, value in section.items() if value is not None}
    given = template.with_defaults(settings)
    for service, quota, what, least, most in _of_stack(place, one, template, given):
        yield Use(service, quota, environment, one.stack.name, what, least, most)


_Row = tuple[str, str, str, Amount, Amount]


def _of_stack(place: Target, one: Placed, template: Template, given: Mapping[str, str]) -> Iterator[_Row]:
    """Yield service, quota, what uses it, and the least and the most that it uses."""
    environment, stack = place.settings, one.stack
    if stack.endpoint:
        yield from _endpoint(environment.name, given, shadowed=SHADOW in template.parameters)
    elif stack.name == "transform":
        count = Amount(int(given["InstanceCount"]))
        yield from _instances(given["InstanceType"], "transform job", f"a batch job of {environment.name}", count)
    elif stack.name in ("execution", "experiments") and "training" in environment.settings:
        yield from _training(environment)
    elif stack.name == "monitoring":
        accounts = [account_of(place.project.layout, name) for name in ENVIRONMENTS]
        jobs = Amount(accounts.count(one.account))  # their schedules are alike
        yield from _instances(environment["processing.instance_type"], "processing job", "monitoring", jobs)
    elif template.of_type("AWS::CodeBuild::Project"):
        size = given.get("ComputeType", _COMPUTE_TYPE).rpartition("_")[2].title()
        build = Amount(0, 1)  # builds of a pipeline run in sequence; concurrent ones are queued
        yield "codebuild", f"Concurrently running builds for Linux/{size} environment", "a build", build, build


def _endpoint(environment: str, given: Mapping[str, str], *, shadowed: bool) -> Iterator[_Row]:
    what = f"the endpoint of {environment}"
    if "MaxConcurrency" in given:
        requests = int(given["MaxConcurrency"])
        amount = Amount(requests, requests)
        yield "sagemaker", ALL_SERVERLESS, what, amount, amount
        return
    fewest = max(int(given.get("MinInstanceCount", 1)), 1)  # a new endpoint starts with one, even if it scales to zero
    share = float(given["StepPercent"]) / 100 if strategy(given) == "rolling" else 1
    shadow = fewest if shadowed else 0
    least, most = (
        Amount(count, math.ceil(count * share) + shadow)
        for count in (fewest, max(fewest, int(given.get("MaxInstanceCount", 0))))
    )
    for quota in (f"{given['InstanceType']} for endpoint usage", ALL_ENDPOINTS):
        yield "sagemaker", quota, what, least, most


def _training(environment: Environment) -> Iterator[_Row]:
    what = "a run of the training pipeline"
    processing = Amount(max(environment.integer("processing.instance_count"), _SIDE_BY_SIDE))
    yield from _instances(environment["processing.instance_type"], "processing job", what, processing)
    kind = "spot training job" if environment["training.spot"] else "training job"
    training = Amount(environment.integer("training.instance_count"))
    yield from _instances(environment["training.instance_type"], kind, what, training)


def _instances(instance_type: str, kind: str, what: str, count: Amount) -> Iterator[_Row]:
    for quota in (f"{instance_type} for {kind} usage", f"Number of instances across all {kind}s"):
        yield "sagemaker", quota, what, count, count
