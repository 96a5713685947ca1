"""The limits of monitoring in the configuration (`monitoring` in config/)."""

from collections.abc import Mapping
from decimal import Decimal

from mlops.project.environment import Environment
from mlops.project.ranges import RANGES

PARAMETERS: Mapping[str, str] = {
    "MinRows": "min_rows",
    "MaxDistance": "max_distance",
    "MaxDriftedShare": "max_drifted_share",
    "MaxMissingIncrease": "max_missing_increase",
    "MaxAucLoss": "max_auc_loss",
    "LabelDelayHours": "label_delay_hours",
}
"""The parameters of the pipeline, and of the stack `observability`, that these set."""


def values(environment: Environment) -> dict[str, str]:
    """Return the limits of an environment by parameter, as text.

    Raises:
        MlopsError: One is missing, not a number, too low or too high.
    """
    return {parameter: _text(environment, name) for parameter, name in PARAMETERS.items()}


def _text(environment: Environment, name: str) -> str:
    key = f"monitoring.{name}"
    value = environment.integer(key) if RANGES[key].whole else environment.number(key)
    return f"{Decimal(str(value)):f}"
