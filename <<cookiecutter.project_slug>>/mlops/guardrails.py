"""The time that an update of an endpoint is given: SageMaker takes one back that has not ended by then, hours later."""

import math
from collections.abc import Mapping

from mlops.errors import MlopsError
from mlops.stacks import Template

_TIMEOUT = "UpdateSeconds"
_IN_STEPS = ("linear", "rolling")


def require_time(template: Template, values: Mapping[str, str], where: str) -> None:
    """Refuse an update of an endpoint that waits for as long as it is given, or longer.

    Args:
        template: The template of a stack; any passes that gives no update a time.
        values: The values of its parameters; one that is left out has its default.
        where: Where they are set, for messages: `endpoint` in config/staging.yaml.

    Raises:
        MlopsError: The update cannot end in time, or a figure is none.
    """
    given = {name: str(declared.get("Default")) for name, declared in template.parameters.items()} | dict(values)
    if _TIMEOUT not in given:
        return
    try:
        waiting, timeout = _waiting(given), float(given[_TIMEOUT])
    except (ValueError, ZeroDivisionError) as error:
        raise MlopsError(f"A figure of {where} cannot be used: {error}.", "Correct it.", exit_code=2) from None
    if waiting >= timeout:
        raise MlopsError(
            f"An update would watch its alarms for {waiting:g} seconds, and is given up after {timeout:g}.",
            f"Lower `bake_seconds` or raise `update_seconds` (up to {template.parameters[_TIMEOUT]['MaxValue']}) of "
            f"{where}; linear and rolling take fewer steps with a higher `step_percent`.",
            exit_code=2,
        )


def _waiting(given: Mapping[str, str]) -> float:
    """Seconds that an update waits for: after each step and, unless it is rolling, at the end (infra/endpoint.yaml).

    The time that instances take to start, which is not known before, comes on top.
    """
    strategy = given.get("DeploymentStrategy") if float(given["MinInstanceCount"]) > 1 else None
    steps = math.ceil(100 / float(given["StepPercent"])) if strategy in _IN_STEPS else 1
    return float(given["BakeSeconds"]) * (steps + (strategy != "rolling"))
