"""How the rows of a window differ from the baseline by more than chance explains, in the terms of Model Monitor.

Chance is taken off each difference before it is held against its limit, so that small windows do not alarm and large
ones may be held to strict limits.
"""

import math
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

CORRECTION = 1.8
"""Standard errors, of sqrt((n + m) / (n m)), that are taken off the distance of two samples of n and m values.

Deequ's, and so Model Monitor's, "Robust" comparison. By the Kolmogorov distribution the distance of two samples of one
source is larger with probability 2 exp(-2 x 1.8^2) = 0.003 at most, before any limit is added.
"""

FALSE_ALARMS = 0.01
"""In how many windows the checks of missing, unknown and negative values may find a fault where there is none, at most.

The checks of all features share it, so that a schema of many columns alarms no more often than one of few.
"""

_CHECKS = 3

COMPARISON_FILE = "comparison.json"
"""What a comparison is kept in, beside the documents that Model Monitor knows."""

NUMBERS, CATEGORIES = "Kolmogorov-Smirnov", "L-infinity"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """When a difference counts; `monitoring` in the configuration.

    Attributes:
        max_distance: The largest distance of a feature's distribution from the baseline's, less chance, 0 to 1.
        max_drifted_share: Drift alarms when more than this share of the features is further away.
        max_missing_increase: How much larger than the baseline's the share of missing values may be, less chance.
    """

    max_distance: float
    max_drifted_share: float
    max_missing_increase: float


@dataclass(frozen=True)
class Feature:
    """One feature of the window beside the baseline.

    Attributes:
        name: The feature.
        method: How the distance is measured; empty when one side has no value.
        distance: The distance of the two distributions less what chance explains, 0 to 1.
        drifted: Whether it is above the limit.
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
    """What came of a comparison.

    Attributes:
        features: Every feature, the furthest away first.
        violations: The `violations` of a document `constraint_violations.json`, in the order of the features.
        drift: Whether so many features have drifted that it alarms.
        quality: Whether values are missing, unknown or of the wrong type: then it is the data that is at fault.
    """

    features: list[Feature]
    violations: list[dict[str, str]]
    drift: bool
    quality: bool

    @property
    def drifted(self) -> list[str]:
        """The names of the features that have drifted, the furthest away first."""
        return [feature.name for feature in self.features if feature.drifted]


class Predictions(TypedDict):
    """The predictions in a window: their mean, None without any, and the counts of equal intervals from 0 to 1."""

    mean: float | None
    histogram: list[int]


class WindowDocument(TypedDict):
    """The document `comparison.json`: the fields of `captured.Captured`, of the predictions, and of `Comparison`."""

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


def compare(
    baseline: dict[str, Any],
    constraints: dict[str, Any],
    window: dict[str, Any],
    invalid: dict[str, int],
    limits: Limits,
) -> Comparison:
    """Compare the features of a window with a baseline.

    Args:
        baseline: The baseline's `statistics.json`; columns that the window does not have are left out of account.
        constraints: The baseline's `constraints.json`.
        window: The window's statistics, of the features only and of at least one row.
        invalid: How many values of each feature were not of its type.
        limits: When a difference counts.

    Raises:
        KeyError: The documents are not what Model Monitor writes.
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
        if feature.drifted:
            text = f"Distance {feature.distance:.4f} ({feature.method}, less chance) is above {limits.max_distance:g}."
            violations.append(_violation(name, "baseline_drift_check", text))
    features.sort(key=lambda feature: -feature.distance)
    places = {feature.name: place for place, feature in enumerate(features)}
    violations.sort(key=lambda violation: places.get(violation["feature_name"], -1))
    drifted = sum(feature.drifted for feature in features)
    quality = any(violation["constraint_check_type"] != "baseline_drift_check" for violation in violations)
    return Comparison(features, violations, drifted > limits.max_drifted_share * len(window["features"]), quality)


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
    """Return the largest difference of the two empirical distribution functions, from the sketches of the statistics.

    A sketch of up to 2048 values holds them all; of more, the distance is exact to the sketch's error of rank.
    """
    (left, left_weights), (right, right_weights) = sketched(before), sketched(now)
    at = np.concatenate([left, right])
    return float(np.abs(_cumulated(left, left_weights, at) - _cumulated(right, right_weights, at)).max())


def l_infinity(before: dict[str, Any], now: dict[str, Any]) -> float:
    """Return the largest difference of the shares that a value has in the two."""
    left, right = shares(before), shares(now)
    return max(abs(left.get(value, 0.0) - right.get(value, 0.0)) for value in left | right)


def shares(feature: dict[str, Any]) -> dict[str, float]:
    """Return the share that each listed category has of a feature's values."""
    present = max(1, figures(feature)["common"]["num_present"])
    buckets = figures(feature)["distribution"]["categorical"]["buckets"]
    return {bucket["value"]: bucket["count"] / present for bucket in buckets}


def sketched(feature: dict[str, Any]) -> tuple[Numbers, Numbers]:
    """Return the values of a number's sketch, ascending, with how many values each stands for: 2**h of level h."""
    levels = feature["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"]
    values = np.concatenate([np.asarray(level, dtype=np.float64) for level in levels])
    weights = np.concatenate([np.full(len(level), 2.0**height) for height, level in enumerate(levels)])
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def _cumulated(values: Numbers, weights: Numbers, at: Numbers) -> Numbers:
    """Return the share of the weight that lies at or below each point."""
    cumulated = np.concatenate([[0.0], np.cumsum(weights)])
    return np.asarray(cumulated[np.searchsorted(values, at, side="right")] / cumulated[-1])


def exceeds_chance(count: float, n: int, before: float, m: int, chance: float) -> bool:
    """Return whether a window has more rows of a kind than the baseline explains.

    Were both drawn from one source, the window would be n of the n + m rows, taken at random. It would then hold so
    many of the kind with probability exp(-n KL(q, p)) at most, q being its share of them and p that of all (Hoeffding,
    "Probability Inequalities for Sums of Bounded Random Variables", 1963, theorem 1 and section 6).

    Args:
        count: How many of the window's n rows are of the kind.
        n: How many rows the window has.
        before: How many of the baseline's m rows are of the kind.
        m: How many rows the baseline has.
        chance: The probability above which it may be chance.
    """
    if n == 0 or count / n <= (count + before) / (n + m):
        return False
    q, p = count / n, (count + before) / (n + m)
    divergence = q * math.log(q / p) + ((1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0.0)
    return math.exp(-n * divergence) < chance


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
    """Values that the baseline does not know, unless they are so few that it may have missed them."""
    if "string_constraints" not in rule or "string_statistics" not in now:
        return []
    known = set(rule["string_constraints"]["domains"])
    buckets = now["string_statistics"]["distribution"]["categorical"]["buckets"]
    unknown = {bucket["value"]: bucket["count"] for bucket in buckets if bucket["value"] not in known}
    count, seen = sum(unknown.values()), figures(now)["common"]["num_present"]
    if not exceeds_chance(count, seen, 0, figures(before)["common"]["num_present"], chance):
        return []
    some = ", ".join(sorted(unknown, key=lambda value: -unknown[value])[:5])
    text = f"{count} of {seen} values are not in the baseline: {some}."
    return [_violation(now["name"], "categorical_values_check", text)]


def _sign(rule: dict[str, Any], before: dict[str, Any], now: dict[str, Any], chance: float) -> list[dict[str, str]]:
    """Negative values where the baseline has none; Model Monitor's format has no check of its own for them."""
    if not rule.get("num_constraints", {}).get("is_non_negative") or "numerical_statistics" not in now:
        return []
    values, weights = sketched(now)
    count, seen = float(weights[values < 0].sum()), figures(now)["common"]["num_present"]
    if not exceeds_chance(count, seen, 0, figures(before)["common"]["num_present"], chance):
        return []
    return [_violation(now["name"], "data_type_check", f"{count:.0f} of {seen} values are negative; expected none.")]


def figures(feature: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a feature of the statistics, whatever it is."""
    found: dict[str, Any] = feature.get("numerical_statistics") or feature["string_statistics"]
    return found


def _violation(name: str, check: str, text: str) -> dict[str, str]:
    return {"feature_name": name, "constraint_check_type": check, "description": text}
