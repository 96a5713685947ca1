"""Training again because what the version in use was asked has drifted."""

from pathlib import Path
from typing import Any

from mlops.monitoring.windows import Window, timestamp
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import ModelVersion, champion
from mlops.retraining.local import Outcome, retrain
from mlops.retraining.memory import DRIFT

_LISTED = 8


def retrain_if_drifted(target: Target, window: Window, data: Path | None) -> Outcome | str:
    """Train again if the version in use has drifted in a window.

    Args:
        target: The environment.
        window: The window, compared.
        data: What to train on; None for what the configuration names.

    Returns:
        What came of it, or why nothing was done.
    """
    used = champion(LocalRegistry.of(target).versions())
    if not used:
        return "no version is approved"
    comparison = window.comparisons.get(used.version, {})
    if why_not := _why_not(used, comparison, window.min_rows):
        return why_not
    names = comparison["drifted"]
    reason = f"{len(names)} of {len(comparison['features'])} features drifted: {', '.join(names[:_LISTED])}"
    return retrain(target, DRIFT, f"{DRIFT}-{used.version}-{timestamp(window.end)}", reason, data)


def _why_not(used: ModelVersion, comparison: dict[str, Any], min_rows: int) -> str:
    """Why the version in use is not trained again; empty when it is."""
    if not comparison.get("rows"):
        return f"version {used.version}, the one in use, was not asked"
    if comparison["rows"] < min_rows:
        return f"version {used.version} was asked about too few rows to tell"
    if not comparison["drift"]:
        return f"version {used.version}, the one in use, has not drifted"
    return f"version {used.version} has drifted, but the data is at fault" if comparison["quality"] else ""
