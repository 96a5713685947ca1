"""Retraining because the requests to the version in use have drifted."""

from pathlib import Path

from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import ModelVersion, champion
from mlops.retraining.memory import DRIFT
from mlops.run.monitoring import Window
from mlops.run.retraining import Outcome, retrain
from modelkit.violations import WindowDocument

_LISTED = 8


def retrain_if_drifted(target: Target, window: Window, data: Path | None) -> Outcome | str:
    """Retrain if the version in use has drifted in a window.

    Args:
        target: The environment.
        window: The evaluated window.
        data: The file or folder to train on; None for the configured one.

    Returns:
        The result, or the reason why nothing was done.
    """
    used = champion(LocalRegistry.of(target).versions())
    if not used:
        return "no version is approved"
    comparison = window.comparisons.get(used.version)
    if not comparison or not comparison["rows"]:
        return f"version {used.version}, the one in use, got no requests"
    if obstacle := _obstacle(used, comparison, window.min_rows):
        return obstacle
    names = comparison["drifted"]
    reason = f"{len(names)} of {len(comparison['features'])} features drifted: {', '.join(names[:_LISTED])}"
    return retrain(target, DRIFT, f"{DRIFT}-{used.version}-{window.end}", reason, data)


def _obstacle(used: ModelVersion, comparison: WindowDocument, min_rows: int) -> str:
    """Return why not to retrain the version in use; empty if it should be retrained."""
    if comparison["rows"] < min_rows:
        return f"version {used.version} got too few rows to detect drift"
    if not comparison["drift"]:
        return f"version {used.version}, the one in use, has not drifted"
    return f"version {used.version} has drifted, but the data fails its quality checks" if comparison["quality"] else ""
