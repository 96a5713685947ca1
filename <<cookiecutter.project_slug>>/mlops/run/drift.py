"""Retraining because the requests to the version in use have drifted."""

from collections.abc import Mapping
from pathlib import Path

from mlops.monitoring.publish import has_changed, is_due, is_judged
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
    if not comparison or not comparison["records"]:
        return f"version {used.version}, the one in use, got no requests"
    if obstacle := _obstacle(used, window.figures):
        return obstacle
    return retrain(target, DRIFT, f"{DRIFT}-{used.version}-{window.end}", _reason(comparison), data)


def _obstacle(used: ModelVersion, figures: Mapping[str, float]) -> str:
    """Return why not to retrain the version in use; empty if it should be retrained."""
    if is_due(figures):
        return ""
    if not is_judged(figures):
        return f"version {used.version} got too few rows to detect drift"
    if has_changed(figures):
        return f"version {used.version} has drifted, but the data fails its quality checks"
    return f"version {used.version}, the one in use, has not drifted"


def _reason(comparison: WindowDocument) -> str:
    """Return what has changed."""
    names, quality = comparison["drifted"], comparison["model_quality"]
    reasons = []
    if names:
        reasons.append(f"{len(names)} of {len(comparison['features'])} features drifted: {', '.join(names[:_LISTED])}")
    if comparison["prediction_drift"] and comparison["prediction_drift"]["drifted"]:
        reasons.append("the predictions drifted")
    if quality and quality["degraded"]:
        reasons.append(f"AUC {quality['auc']:.3f} on labelled requests, {quality['baseline_auc']:.3f} on the test set")
    return "; ".join(reasons)
