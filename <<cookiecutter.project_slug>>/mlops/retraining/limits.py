"""The limits of retraining in the configuration (`retraining` in config/)."""

from collections.abc import Mapping
from datetime import timedelta

from mlops.project.environment import Environment
from mlops.retraining.policy import Policy

COOLDOWN, RUNS, GATES = "cooldown_minutes", "runs_per_day", "failed_gates"

PARAMETERS: Mapping[str, str] = {"CooldownMinutes": COOLDOWN, "RunsPerDay": RUNS, "FailedGates": GATES}
"""The parameters of the stack `retraining` that these set."""


def limit(environment: Environment, name: str) -> int:
    """Return one of the limits, a whole number.

    Raises:
        MlopsError: It is missing, not a whole number, too low or too high.
    """
    return environment.integer(f"retraining.{name}")


def policy(environment: Environment, gathering: timedelta, lease: timedelta) -> Policy:
    """Return the policy with the limits of an environment.

    Args:
        environment: The configuration.
        gathering: How long new objects are collected.
        lease: How long a run is assumed to be executing.

    Raises:
        MlopsError: A limit is missing or too low.
    """
    cooldown = timedelta(minutes=limit(environment, COOLDOWN))
    runs, gates = limit(environment, RUNS), limit(environment, GATES)
    return Policy(cooldown, runs, gates, gathering, lease)
