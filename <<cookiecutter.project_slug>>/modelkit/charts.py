"""Chart data of a report: the distribution of a feature in the baseline and in a window, on the same bins."""

from itertools import pairwise
from typing import Any

import numpy as np

from modelkit.violations import Numbers, shares, sketched

BARS = 16
"""The number of bars of a numeric feature."""

PROBABILITY_BARS = 20
"""The number of bars of predicted probabilities."""

_CATEGORIES = 12


def chart(before: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the `labels` of the bars and the shares `before` and `now` of one feature."""
    sides = {"before": before, "now": now}
    numeric = {side: sketched(feature) for side, feature in sides.items() if "numerical_statistics" in feature}
    if numeric:
        return _numbers(numeric)
    parts = {side: shares(feature) for side, feature in sides.items()}
    values = {value for share in parts.values() for value in share}
    frequent = sorted(values, key=lambda value: -max(share.get(value, 0.0) for share in parts.values()))
    labels = sorted(frequent[:_CATEGORIES])
    return {"labels": labels, **{side: [share.get(label, 0.0) for label in labels] for side, share in parts.items()}}


def predictions(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the bars of predicted probabilities on the test set, none if they are not known, and in a window."""
    edges = np.linspace(0, 1, PROBABILITY_BARS + 1)
    labels = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    sides = {side: histogram(feature) for side, feature in (("before", before), ("now", now)) if feature}
    bars = {side: [count / max(1, sum(counts)) for count in counts] for side, counts in sides.items()}
    return {"labels": labels, "before": [], **bars}


def histogram(feature: dict[str, Any]) -> list[int]:
    """Return the counts of predicted probabilities in equal intervals, up to the error of their sketch."""
    if "numerical_statistics" not in feature:
        return [0] * PROBABILITY_BARS
    values, weights = sketched(feature)
    counts, _ = np.histogram(values, bins=PROBABILITY_BARS, range=(0, 1), weights=weights)
    return [int(count) for count in counts]


def _numbers(sides: dict[str, tuple[Numbers, Numbers]]) -> dict[str, list[Any]]:
    """Return the bars of weighted values; all zero for a side without values."""
    low = min(values[0] for values, _ in sides.values())
    high = max(values[-1] for values, _ in sides.values())
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    bars: dict[str, list[Any]] = {"before": [0.0] * BARS, "now": [0.0] * BARS}
    for side, (values, weights) in sides.items():
        bars[side] = (np.histogram(values, bins=edges, weights=weights)[0] / weights.sum()).tolist()
    figures = [np.format_float_positional(edge, precision=4, fractional=False, trim="-") for edge in edges]
    return {"labels": [f"{left} to {right}" for left, right in pairwise(figures)], **bars}
