"""Comparison of a time window with the baseline, with violations in the format of Model Monitor.

Sampling noise is subtracted from each difference before it is compared with its limit, so that small windows do not
cause false alarms and limits for large ones can be strict.
"""

import math
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from modelkit.quality import ModelQuality

CORRECTION = 1.8
"""The number of standard errors, sqrt((n + m) / (n m)), to subtract from the distance of samples of n and m values.

This is the "Robust" comparison of Deequ, and so of Model Monitor. By the Kolmogorov distribution, the distance of two
samples of one source is larger with probability 2 exp(-2 x 1.8^2) = 0.003 at most, before any limit is added.
"""

FALSE_ALARMS = 0.01
"""The maximum share of windows with a false alarm of the checks for missing, unknown and negative values.

The checks of all features share it, so that schemas with many columns do not cause more false alarms.
"""

_CHECKS = 3
_DRIFT_CHECK = "baseline_drift_check"

COMPARISON_FILE = "comparison.json"
"""The file of a comparison, in addition to the documents of Model Monitor."""

NUMBERS, CATEGORIES = "Kolmogorov-Smirnov", "L-infinity"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """The limits of differences: `monitoring` in the configuration.

    Attributes:
        max_distance: The largest distance of a feature's distribution from the baseline's, less sampling noise, 0 to 1.
        max_drifted_share: The largest share of drifted features without an alarm.
        max_missing_increase: The largest increase of the share of missing values, less sampling noise.
        max_auc_loss: The largest decrease of the AUC from that on the test set, less sampling noise.
    """

    max_distance: float
    max_drifted_share: float
    max_missing_increase: float
    max_auc_loss: float


@dataclass(frozen=True)
class Feature:
    """The comparison of one feature.

    Attributes:
        name: The feature.
        method: The measure of the distance; empty if one side has no values.
        distance: The distance of the two distributions, less sampling noise, 0 to 1.
        drifted: Whether the distance is above the limit.
        missing: The share of missing values.
        baseline_missing: The share of missing values in the baseline.
    """

    name: str
    method: str
    distance: float
    drifted: bool
    missing: float
    baseline_missing: float


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        features: All features, by descending distance.
        violations: The `violations` of a document `constraint_violations.json`, in the order of the features.
        drift: Whether the share of drifted features is above the limit, or the predictions have drifted.
        predictions: The comparison of the predictions; None without those of the test set.
        quality: Whether there are data quality violations: missing or unknown values, or values of a wrong type.
    """

    features: list[Feature]
    violations: list[dict[str, str]]
    drift: bool
    quality: bool
    predictions: Feature | None = None

    @property
    def drifted(self) -> list[str]:
        """The names of the drifted features, by descending distance."""
        return [feature.name for feature in self.features if feature.drifted]


class Predictions(TypedDict):
    """The predictions in a window: their mean, None without any, and the counts of equal intervals from 0 to 1."""

    mean: float | None
    histogram: list[int]


class PredictionDrift(TypedDict):
    """The distance of the predictions in a window from those on the test set, and whether it is above the limit."""

    distance: float
    drifted: bool


class WindowDocument(TypedDict):
    """The document `comparison.json` of a version.

    It has the counts of `captured.Captured`, the predictions, the fields of `Comparison` and the model quality; None
    without the predictions of the test set, or without labels.
    """

    rows: int
    records: int
    smoke: int
    torn: int
    damaged: int
    damaged_at: list[str]
    first: str
    last: str
    predictions: Predictions
    features: list[dict[str, Any]]
    violations: list[dict[str, str]]
    drift: bool
    quality: bool
    drifted: list[str]
    prediction_drift: PredictionDrift | None
    model_quality: ModelQuality | None


def compare(
    baseline: dict[str, Any],
    constraints: dict[str, Any],
    window: dict[str, Any],
    invalid: dict[str, int],
    limits: Limits,
    predictions: tuple[dict[str, Any], dict[str, Any]] | None = None,
) -> Comparison:
    """Compare the features of a window with a baseline.

    Args:
        baseline: The baseline's `statistics.json`; columns that the window does not have are ignored.
        constraints: The baseline's `constraints.json`.
        window: The window's statistics, of the features only and of at least one row.
        invalid: The number of values of a wrong type, by feature.
        limits: The limits of differences.
        predictions: The statistics of the predictions on the test set and in the window; None if one is not known.

    Raises:
        KeyError: The documents are not in the format of Model Monitor.
    """
    before = {feature["name"]: feature for feature in baseline["features"]}
    rules = {feature["name"]: feature for feature in constraints["features"]}
    threshold = constraints["monitoring_config"]["datatype_check_threshold"]
    rows = window["dataset"]["item_count"]
    chance = FALSE_ALARMS / max(1, _CHECKS * len(window["features"]))
    features: list[Feature] = []
    violations: list[dict[str, str]] = []
    for now in window["features"]:
        name = now["name"]
        if name not in before:
            violations.append(_violation(name, "extra_column_check", "The baseline has no such column."))
            continue
        feature = _feature(before[name], now, rows, invalid.get(name, 0), limits)
        features.append(feature)
        wrong = invalid.get(name, 0) / rows
        if wrong > 1 - threshold:
            expected = rules[name]["inferred_type"]
            text = f"Expected type {expected}, which {1 - wrong:.2%} of the values have."
            violations.append(_violation(name, "data_type_check", text))
        violations += _completeness(feature, before[name], rows, limits, chance)
        violations += _categories(rules[name], before[name], now, chance)
        violations += _sign(rules[name], before[name], now, chance)
        violations += _drift(feature, limits)
    features.sort(key=lambda feature: -feature.distance)
    places = {feature.name: place for place, feature in enumerate(features)}
    violations.sort(key=lambda violation: places.get(violation["feature_name"], -1))
    drift = sum(feature.drifted for feature in features) > limits.max_drifted_share * len(window["features"])
    predicted = None
    if predictions:
        predicted = _feature(*predictions, figures(predictions[1])["common"]["num_present"], 0, limits)
        violations = _drift(predicted, limits) + violations
        drift |= predicted.drifted
    return Comparison(features, violations, drift, any(map(is_data_quality, violations)), predicted)


def is_data_quality(violation: dict[str, str]) -> bool:
    """Return whether a violation is one of data quality, not of drift."""
    return violation["constraint_check_type"] != _DRIFT_CHECK


def _feature(before: dict[str, Any], now: dict[str, Any], rows: int, invalid: int, limits: Limits) -> Feature:
    method, distance = _distance(before, now)
    common = figures(before)["common"]
    present = figures(now)["common"]["num_present"]
    return Feature(
        name=now["name"],
        method=method,
        distance=distance,
        drifted=distance > limits.max_distance,
        missing=(rows - present - invalid) / rows,
        baseline_missing=common["num_missing"] / max(1, common["num_present"] + common["num_missing"]),
    )


def _distance(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, float]:
    n, m = (figures(side)["common"]["num_present"] for side in (before, now))
    if not n or not m:
        return "", 0.0
    numeric = "numerical_statistics" in before and "numerical_statistics" in now
    raw = kolmogorov_smirnov(before, now) if numeric else l_infinity(before, now)
    return (NUMBERS if numeric else CATEGORIES), max(0.0, raw - CORRECTION * math.sqrt((n + m) / (n * m)))


def kolmogorov_smirnov(before: dict[str, Any], now: dict[str, Any]) -> float:
    """Return the largest difference of the two empirical distribution functions, computed from the sketches.

    The result is exact for up to 2048 values; for more, up to the rank error of the sketches.
    """
    (left, left_weights), (right, right_weights) = sketched(before), sketched(now)
    at = np.concatenate([left, right])
    return float(np.abs(_cumulated(left, left_weights, at) - _cumulated(right, right_weights, at)).max())


def l_infinity(before: dict[str, Any], now: dict[str, Any]) -> float:
    """Return the largest difference of a value's shares in the two."""
    left, right = shares(before), shares(now)
    return max(abs(left.get(value, 0.0) - right.get(value, 0.0)) for value in left | right)


def shares(feature: dict[str, Any]) -> dict[str, float]:
    """Return the share of each listed category among a feature's values."""
    present = max(1, figures(feature)["common"]["num_present"])
    buckets = figures(feature)["distribution"]["categorical"]["buckets"]
    return {bucket["value"]: bucket["count"] / present for bucket in buckets}


def sketched(feature: dict[str, Any]) -> tuple[Numbers, Numbers]:
    """Return the values in the sketch of a number, ascending, and their weights: 2**h at level h."""
    levels = feature["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"]
    values = np.concatenate([np.asarray(level, dtype=np.float64) for level in levels])
    weights = np.concatenate([np.full(len(level), 2.0**height) for height, level in enumerate(levels)])
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def _cumulated(values: Numbers, weights: Numbers, at: Numbers) -> Numbers:
    """Return the share of the weight at or below each point."""
    cumulated = np.concatenate([[0.0], np.cumsum(weights)])
    return np.asarray(cumulated[np.searchsorted(values, at, side="right")] / cumulated[-1])


def exceeds_chance(count: float, n: int, before: float, m: int, chance: float) -> bool:
    """Return whether a window has significantly more rows of a kind than the baseline.

    If both have the same source, the window is a random sample of n of the n + m rows. The probability of so many rows
    of the kind is then exp(-n KL(q, p)) at most, where q is their share in the window and p in all rows (Hoeffding,
    "Probability Inequalities for Sums of Bounded Random Variables", 1963, theorem 1 and section 6).

    Args:
        count: The number of rows of the kind in the window.
        n: The number of rows in the window.
        before: The number of rows of the kind in the baseline.
        m: The number of rows in the baseline.
        chance: The significance level.
    """
    if n == 0 or count / n <= (count + before) / (n + m):
        return False
    q, p = count / n, (count + before) / (n + m)
    divergence = q * math.log(q / p) + ((1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0.0)
    return math.exp(-n * divergence) < chance


def _drift(feature: Feature, limits: Limits) -> list[dict[str, str]]:
    if not feature.drifted:
        return []
    text = f"Distance {feature.distance:.4f} ({feature.method}, less chance) is above {limits.max_distance:g}."
    return [_violation(feature.name, _DRIFT_CHECK, text)]


def _completeness(
    feature: Feature, before: dict[str, Any], rows: int, limits: Limits, chance: float
) -> list[dict[str, str]]:
    common = figures(before)["common"]
    baseline_rows = common["num_present"] + common["num_missing"]
    allowed = min(baseline_rows, common["num_missing"] + limits.max_missing_increase * baseline_rows)
    if not exceeds_chance(feature.missing * rows, rows, allowed, baseline_rows, chance):
        return []
    text = f"Completeness {1 - feature.missing:.4f}; in the baseline {1 - feature.baseline_missing:.4f}."
    return [_violation(feature.name, "completeness_check", text)]


def _categories(
    rule: dict[str, Any], before: dict[str, Any], now: dict[str, Any], chance: float
) -> list[dict[str, str]]:
    """Return a violation if significantly many values are not in the baseline."""
    if "string_constraints" not in rule or "string_statistics" not in now:
        return []
    known = set(rule["string_constraints"]["domains"])
    buckets = now["string_statistics"]["distribution"]["categorical"]["buckets"]
    unknown = {bucket["value"]: bucket["count"] for bucket in buckets if bucket["value"] not in known}
    seen = figures(now)["common"]["num_present"]
    listed = sum(bucket["count"] for bucket in buckets)
    count = sum(unknown.values()) + (seen - listed)  # what is not listed is too rare, so not of the few known values
    if not exceeds_chance(count, seen, 0, figures(before)["common"]["num_present"], chance):
        return []
    some = ", ".join(sorted(unknown, key=lambda value: -unknown[value])[:5])
    text = f"{count} of {seen} values are not in the baseline: {some}."
    return [_violation(now["name"], "categorical_values_check", text)]


def _sign(rule: dict[str, Any], before: dict[str, Any], now: dict[str, Any], chance: float) -> list[dict[str, str]]:
    """Return a violation if significantly many values are negative and the baseline has none.

    Model Monitor's format has no separate check for them.
    """
    if not rule.get("num_constraints", {}).get("is_non_negative") or "numerical_statistics" not in now:
        return []
    values, weights = sketched(now)
    count, seen = float(weights[values < 0].sum()), figures(now)["common"]["num_present"]
    if not exceeds_chance(count, seen, 0, figures(before)["common"]["num_present"], chance):
        return []
    return [_violation(now["name"], "data_type_check", f"{count:.0f} of {seen} values are negative; expected none.")]


def figures(feature: dict[str, Any]) -> dict[str, Any]:
    """Return the statistics of a feature of any type."""
    found: dict[str, Any] = feature.get("numerical_statistics") or feature["string_statistics"]
    return found


def _violation(name: str, check: str, text: str) -> dict[str, str]:
    return {"feature_name": name, "constraint_check_type": check, "description": text}
