"""The project's Lambda functions on this machine: the same steps, on the local store and registry."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlops.monitoring import publish as publishing
from mlops.monitoring.collect import Request
from mlops.monitoring.local import LocalPlace
from mlops.project.target import Target
from mlops.registry import inputs
from mlops.run.inputs import LocalInputs

if TYPE_CHECKING:
    from mlops.monitoring.fetched import FetchedPlace


def _place(target: Target, event: Mapping[str, Any]) -> "LocalPlace | FetchedPlace":
    """Return the place of the environment whose window is evaluated."""
    if event["environment"] == target.environment:
        return LocalPlace(target)
    from mlops.monitoring.fetched import FetchedPlace  # boto3 takes 0.2 s, which this machine's windows do not need

    return FetchedPlace(target.at(event["environment"]))


def _collect(target: Target, event: Mapping[str, Any]) -> dict[str, str]:
    return _place(target, event).collect(Request.of(event))


def _publish(target: Target, event: Mapping[str, Any]) -> dict[str, str]:
    """Record that a window has been evaluated; its metrics are in its folder."""
    return publishing.publish(_place(target, event), event, lambda metrics: None)


def _resolve(target: Target, event: Mapping[str, Any]) -> dict[str, str]:
    return inputs.resolve(LocalInputs(target), event)


def _confirm(target: Target, event: Mapping[str, Any]) -> dict[str, str]:
    return inputs.confirm(LocalInputs(target), event)


FUNCTIONS: Mapping[str, Callable[[Target, Mapping[str, Any]], dict[str, str]]] = {
    "confirm-data": _confirm,
    "monitoring-collect": _collect,
    "monitoring-publish": _publish,
    "resolve-data": _resolve,
}
"""What replaces each function, by the end of its name: `<slug>-resolve-data`.

A run calls them in its own process: starting one for each would take longer than a cached run.
"""
