"""The settings in config/ that a deployment reads."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from mlops.base.environments import SHARED
from mlops.base.errors import MlopsError, errors_of
from mlops.deployment import across, guardrails, templates
from mlops.deployment.checks.check import Subject
from mlops.deployment.checks.finding import Finding, Level
from mlops.deployment.rollout import ATTEMPT, PACKAGE, SHADOW
from mlops.deployment.templates import Template
from mlops.monitoring import limits as monitoring_limits
from mlops.project import security
from mlops.project.configuration import STACKS
from mlops.project.environment import Environment
from mlops.project.stacks import SHADOW_MINUTES, Stack
from mlops.project.target import Target
from mlops.retraining import limits

BUCKET, KEY = "FunctionsBucket", "FunctionsKey"
REFUSED = "`deploy` refuses to start."
_OWN = (
    *("ProjectName", "ProjectId", "EnvironmentName", BUCKET, KEY, PACKAGE, SHADOW, ATTEMPT),
    *(security.VOLUME_KEY, security.IN_VPC),
    *limits.PARAMETERS,
    *monitoring_limits.PARAMETERS,
)
"""The parameters that the deployment sets itself."""


def valid(subject: Subject) -> Iterator[Finding]:
    """Yield what `deploy` refuses in the settings of the chosen stacks.

    Raises:
        MlopsError: A template cannot be read.
    """
    for environment in subject.own_environments:
        names = subject.chosen[environment]
        declared = read(subject.target.at(environment), subject.target.account_name) if names else {}
        chosen = [stack for stack in declared if stack.name in names]
        for error in errors(subject.target, declared, chosen):
            yield Finding.of(error, Level.BLOCKS, REFUSED)


def read(target: Target, account: str) -> dict[Stack, Template]:
    """Return the templates of an environment's stacks in an account, after those they build on, in order.

    Args:
        target: The environment.
        account: The name of the account.

    Raises:
        MlopsError: It has no stacks, or a template cannot be read.
    """
    preceding = [] if target.environment == SHARED else target.shared.stacks
    here = [one.stack for one in (*preceding, *target.stacks) if one.account == account]
    return {stack: templates.read(target.project.root, stack) for stack in here}


def values(
    declared: Mapping[Stack, Template], known: Mapping[str, str], stack: Stack, settings: Environment
) -> dict[str, str]:
    """Return the values of a stack's parameters; see `templates.parameters`.

    Args:
        declared: The templates of all stacks, in the order of deployment.
        known: The values that the deployment itself and the preceding stacks set.
        stack: The stack.
        settings: The configuration of its environment.

    Raises:
        MlopsError: A setting is missing or invalid.
    """
    stacks = list(declared)
    before = stacks[: stacks.index(stack)]
    origin = {output: one for one in before for output in declared[one].outputs}
    return templates.parameters(declared[stack], known, stack, settings, origin)


def errors(target: Target, declared: Mapping[Stack, Template], chosen: Collection[Stack]) -> Iterator[MlopsError]:
    """Yield what is wrong with the settings of stacks, before anything is deployed.

    Args:
        target: The environment in that account, whose settings apply.
        declared: The templates of the stacks in that account, in the order of deployment.
        chosen: The stacks to deploy.
    """
    registered = partial(templates.outputs_of_others, target.project.root, target.shared.settings)
    yield from (missing := errors_of(registered))
    outputs = dict.fromkeys(map(templates.parameter_of, target.shared.settings.stack("registry")), "")
    known = dict.fromkeys(_OWN, "") | (outputs if missing else registered())
    across_accounts = partial(across.values, target, target.account_name)
    yield from (unknown := errors_of(across_accounts))
    known |= dict.fromkeys(across.parameters(target, target.account_name), "") if unknown else across_accounts()
    for stack, template in declared.items():
        if stack in chosen:
            yield from _of_stack(target.settings, declared, stack, known)
        known |= dict.fromkeys(template.outputs, "")


def _of_stack(
    settings: Environment, declared: Mapping[Stack, Template], stack: Stack, known: Mapping[str, str]
) -> Iterator[MlopsError]:
    template = declared[stack]
    section, parameters = settings.stack(stack.name), template.parameters
    yield from errors_of(partial(security.Network.of, settings, f"{STACKS}.{stack.name}", section))
    if security.DISK_ENCRYPTION in parameters:
        yield from errors_of(partial(security.require_encryptable_disks, settings, stack.name))
    if security.IN_VPC in parameters:
        yield from errors_of(partial(security.Security.of, settings))
    if limits.PARAMETERS.keys() <= parameters.keys():
        for key in limits.PARAMETERS.values():
            yield from errors_of(partial(limits.limit, settings, key))
    if monitoring_limits.PARAMETERS.keys() <= parameters.keys():
        yield from errors_of(partial(monitoring_limits.values, settings))
    given = partial(values, declared, known, stack, settings)
    yield from (wrong := errors_of(given))
    if not wrong:
        yield from errors_of(partial(guardrails.require_time, template, given(), stack.name, settings))
    yield from errors_of(partial(shadow_minutes, settings, stack, template))


def shadow_minutes(settings: Environment, stack: Stack, template: Template) -> float | None:
    """Return how long a new version runs as a shadow; None for a stack without shadows.

    Raises:
        MlopsError: The value is missing or not a number.
    """
    return settings.number(f"{STACKS}.{stack.name}.{SHADOW_MINUTES}") if SHADOW in template.parameters else None
