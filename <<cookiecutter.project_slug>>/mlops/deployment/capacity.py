"""How much the configuration takes of the service quotas that limit instances, requests at a time, and builds."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlops.base.environments import ENVIRONMENTS, SHARED
from mlops.base.errors import UsageError
from mlops.deployment import templates
from mlops.deployment.guardrails import strategy
from mlops.deployment.rollout import SHADOW
from mlops.deployment.templates import Template
from mlops.project.configuration import BASE
from mlops.project.environment import Environment
from mlops.project.stacks import Stack
from mlops.project.target import Target

ALL_SERVERLESS = "Maximum total concurrency that can be allocated across all serverless endpoints"
ALL_ENDPOINTS = "Number of instances across active endpoints"
_COMPUTE_TYPE = "BUILD_GENERAL1_MEDIUM"
_SIDE_BY_SIDE = 2
"""Processing jobs of the training pipeline that may run at the same time: Baseline and Evaluate."""


@dataclass(frozen=True)
class Amount:
    """How much of a quota.

    Attributes:
        lasting: What is taken all the time.
        passing: What is taken besides while a version takes over.
    """

    lasting: int
    passing: int = 0


@dataclass(frozen=True)
class Use:
    """What a stack of an environment takes of a quota.

    Attributes:
        service: The service of the quota, as Service Quotas calls it.
        quota: The quota's name there.
        environment: The environment.
        stack: The name of the stack.
        what: What takes it, for messages.
        least: What its deployment takes.
        most: What load may make of that.
    """

    service: str
    quota: str
    environment: str
    stack: str
    what: str
    least: Amount
    most: Amount


def total(amounts: Iterable[Amount]) -> int:
    """What several uses of a quota take together: versions take over in one environment at a time."""
    amounts = list(amounts)
    return sum(each.lasting for each in amounts) + max((each.passing for each in amounts), default=0)


def uses(target: Target, account: str) -> Iterator[Use]:
    """What the environments in an account take of its quotas, in the order in which they are deployed.

    Raises:
        MlopsError: A value in the configuration is not a number.
    """
    for name in (SHARED, *ENVIRONMENTS):
        if not (target.project.root / f"config/{name}.yaml").is_file():
            continue
        there = target.at(name)
        if there.settings.settings.get("account") == account:
            try:
                yield from _uses(there)
            except ValueError as error:
                files = f"{BASE} or {there.settings.path}"
                raise UsageError(f"A figure in {files} cannot be used: {error}.", "Correct it.") from None


def _uses(target: Target) -> Iterator[Use]:
    environment = target.settings
    for stack in target.stacks:
        template = templates.read(target.project.root, stack)
        section = environment.stack(stack.name)
        settings = {templates.parameter_of(key): str(value) for key, value in section.items() if value is not None}
        given = template.with_defaults(settings)
        for service, quota, what, least, most in _of_stack(environment, stack, template, given):
            yield Use(service, quota, environment.name, stack.name, what, least, most)


_Row = tuple[str, str, str, Amount, Amount]


def _of_stack(environment: Environment, stack: Stack, template: Template, given: Mapping[str, str]) -> Iterator[_Row]:
    """Service, quota, what takes it, and how much at the least and at the most."""
    if stack.endpoint:
        yield from _endpoint(environment.name, given, shadowed=SHADOW in template.parameters)
    elif stack.name == "transform":
        count = Amount(int(given["InstanceCount"]))
        yield from _instances(given["InstanceType"], "transform job", f"a batch job of {environment.name}", count)
    elif stack.name == "execution" and "training" in environment.settings:
        yield from _training(environment)
    elif template.of_type("AWS::CodeBuild::Project"):
        size = given.get("ComputeType", _COMPUTE_TYPE).rpartition("_")[2].title()
        one = Amount(0, 1)  # the pipelines' builds follow one another; those of several wait for their turn
        yield "codebuild", f"Concurrently running builds for Linux/{size} environment", "a build", one, one


def _endpoint(environment: str, given: Mapping[str, str], *, shadowed: bool) -> Iterator[_Row]:
    what = f"the endpoint of {environment}"
    if "MaxConcurrency" in given:
        requests = int(given["MaxConcurrency"])
        amount = Amount(requests, requests)
        yield "sagemaker", ALL_SERVERLESS, what, amount, amount
        return
    fewest = max(int(given.get("MinInstanceCount", 1)), 1)  # a new endpoint has one, also where it may shrink to none
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
