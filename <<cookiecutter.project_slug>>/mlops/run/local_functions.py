"""The project's Lambda functions on this machine: the same steps, on the local store and registry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops.base.environments import LOCAL
from mlops.monitoring import publish as publishing
from mlops.monitoring.collect import Request
from mlops.monitoring.collect import collect as collected
from mlops.monitoring.local import LocalPlace
from mlops.project.project import Project
from mlops.project.target import Target

FUNCTIONS = {
    "monitoring-collect": f"{__name__}:collect",
    "monitoring-publish": f"{__name__}:publish",
}
"""The local callable of each function, by the end of its name: `<slug>-monitoring-collect`."""


def collect(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Collect a window (see `monitoring.collect`)."""
    return collected(_place(), Request.of(event))


def publish(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """Record that a window has been evaluated (see `monitoring.publish`); its metrics are in its folder."""
    return publishing.publish(_place(), event, lambda metrics: None)


def _place() -> LocalPlace:
    return LocalPlace(Target(Project(Path(__file__).resolve().parents[2]), LOCAL))
