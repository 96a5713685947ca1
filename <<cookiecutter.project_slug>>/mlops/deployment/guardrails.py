"""Traffic shifting in an endpoint update: the traffic share of a canary, and the timeout of the update.

SageMaker rolls back an update that exceeds its timeout, after hours.
"""

import math
from collections.abc import Mapping

from mlops.base.errors import UsageError
from mlops.deployment.templates import Template
from mlops.project.configuration import BASE, STACKS
from mlops.project.environment import Environment

_TIMEOUT = "UpdateSeconds"
_IN_STEPS = ("linear", "rolling")
_FEWEST_IN_STEPS = 2
"""With fewer instances, all traffic shifts at once (infra/endpoint.yaml)."""


def require_time(template: Template, values: Mapping[str, str], stack: str, environment: Environment) -> None:
    """Refuse an update of an endpoint whose waiting times reach its timeout.

    Args:
        template: The template of a stack; one without a timeout always passes.
        values: The values of its parameters; the others have their defaults.
        stack: The name of the stack, for messages.
        environment: The environment, for messages.

    Raises:
        MlopsError: The update cannot end in time, or a value is not a number.
    """
    given = template.with_defaults(values)
    if _TIMEOUT not in given:
        return
    try:
        waiting, timeout = _waiting(given), float(given[_TIMEOUT])
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"`{STACKS}.{stack}` in {BASE} or {environment.path} has an invalid number: {error}.", "Correct it."
        ) from None
    if waiting >= timeout:
        key = f"{STACKS}.{stack}.bake_seconds"
        raise UsageError(
            f"An update would monitor its alarms for {waiting:g} seconds, but times out after {timeout:g}.",
            f"Lower `{key}` in {environment.file(key)} or raise `update_seconds` beside it (up to "
            f"{template.parameters[_TIMEOUT]['MaxValue']}); linear and rolling take fewer steps with a higher "
            "`step_percent`.",
        )


def canary(template: Template, values: Mapping[str, str]) -> str | None:
    """Return a sentence on the traffic share of a canary; None with another deployment strategy.

    Args:
        template: The template of a stack.
        values: The values of its parameters; the others have their defaults.
    """
    given = template.with_defaults(values)
    if strategy(given) != "canary":
        return None
    count = int(given["MinInstanceCount"])
    more = count + 1
    return (
        f"The canary is one of {count} instances, {_share(count)} of the traffic; "
        f"`min_instance_count: {more}` would make it {_share(more)}."
    )


def strategy(given: Mapping[str, str]) -> str | None:
    """Return the strategy that shifts traffic gradually; None if all traffic shifts at once.

    Args:
        given: The values of all parameters of an endpoint's stack.

    Raises:
        ValueError: The number of instances is not a number.
    """
    gradual = float(given.get("MinInstanceCount", 1)) >= _FEWEST_IN_STEPS
    return given.get("DeploymentStrategy") if gradual else None


def _share(instances: int) -> str:
    return f"{1 / instances:.0%}".replace("%", " %")


def _waiting(given: Mapping[str, str]) -> float:
    """Return the seconds that an update waits: after each step and, unless rolling, at the end (infra/endpoint.yaml).

    The time that instances take to start is not known in advance, and comes on top.
    """
    chosen = strategy(given)
    steps = math.ceil(100 / float(given["StepPercent"])) if chosen in _IN_STEPS else 1
    return float(given["BakeSeconds"]) * (steps + (chosen != "rolling"))
