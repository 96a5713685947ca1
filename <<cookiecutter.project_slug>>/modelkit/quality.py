"""Model quality on labelled requests, compared with the evaluation of the version on its test set."""

import math
from typing import Any, TypedDict

from modelkit import evaluation, metrics
from modelkit.labels import Joined

ERRORS = 2.5758293035489004
"""The number of standard errors of an AUC's decrease that chance explains.

The probability of more is 0.005 by the normal approximation, and at most 0.01 with few rows, for which it is coarse.
"""

DEFAULT_THRESHOLD = 0.5
"""The threshold of evaluations of older releases, which do not name it."""

_OF_POSITIVES = ("precision", "recall", "true_positive_rate", "false_negative_rate", "f1")
_OF_NEGATIVES = ("true_negative_rate", "false_positive_rate")
"""The metrics that are not defined without true, and without false labels, in addition to the AUC."""


class ModelQuality(TypedDict):
    """The quality of a version's predictions for labelled rows.

    Attributes:
        rows: The number of labelled rows.
        positives: The number of them whose label is true.
        labelled_share: Their share of all rows with a response in the interval.
        unlabelled: The number of requests without labels.
        mismatched: The number of requests with more or fewer labels than rows, which are left out.
        auc: The area under the ROC curve; None if all labels are the same.
        accuracy: The share of correctly classified rows.
        precision: The share of true positives among the rows classified as positive; None if no label is true.
        recall: The share of true positives among the positive rows; None if no label is true.
        f1: The harmonic mean of precision and recall; None if no label is true.
        log_loss: The mean log loss.
        baseline_auc: The AUC on the test set; None if the version has no evaluation in the format of Model Monitor.
        evaluated: Whether there are enough labels, of both classes, and an evaluation to compare with.
        degraded: Whether the AUC has decreased by more than the limit.
    """

    rows: int
    positives: int
    labelled_share: float
    unlabelled: int
    mismatched: int
    auc: float | None
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    log_loss: float
    baseline_auc: float | None
    evaluated: bool
    degraded: bool


def figures(labels: metrics.Labels, predictions: metrics.Values, evaluated: dict[str, Any] | None) -> dict[str, Any]:
    """Return the metrics of n > 0 labelled predictions in the format of Model Monitor, if the labels define them.

    Args:
        labels: The true labels, n booleans.
        predictions: The predicted probabilities, n values.
        evaluated: The version's `evaluation.json`; None if it has none.
    """
    threshold = (evaluated or {}).get("threshold", DEFAULT_THRESHOLD)
    if labels.any() and not labels.all():
        return evaluation.quality(labels, predictions, threshold)
    undefined = _OF_NEGATIVES if labels.all() else _OF_POSITIVES
    found = evaluation.classification(labels, predictions, threshold)
    return {name: value for name, value in found.items() if name not in undefined}


def model_quality(
    found: dict[str, Any], evaluated: dict[str, Any] | None, joined: Joined, min_rows: int, max_loss: float
) -> ModelQuality:
    """Return the quality of a version's predictions, and whether it is lower than on the test set.

    Args:
        found: The `figures` of the labelled rows.
        evaluated: The version's `evaluation.json`; None if it has none.
        joined: The responses in the interval, with or without labels.
        min_rows: The number of labelled rows that the comparison needs.
        max_loss: The largest decrease of the AUC, less sampling noise.
    """
    (tn, fp), (fn, tp) = _confusion(found)
    rows = tn + fp + fn + tp
    area = _value(found, "auc")
    before = (evaluated or {}).get("binary_classification_metrics", {})
    comparable = {"auc", "confusion_matrix"} <= before.keys()  # a project's own evaluation may have other metrics
    enough = comparable and rows >= min_rows and area is not None
    return {
        "rows": rows,
        "positives": fn + tp,
        "labelled_share": rows / joined.rows,
        "unlabelled": joined.unlabelled,
        "mismatched": joined.mismatched,
        "auc": area,
        "accuracy": found["accuracy"]["value"],
        "precision": _value(found, "precision"),
        "recall": _value(found, "recall"),
        "f1": _value(found, "f1"),
        "log_loss": found["log_loss"]["value"],
        "baseline_auc": before["auc"]["value"] if comparable else None,
        "evaluated": enough,
        "degraded": enough and is_degraded(before, found, max_loss),
    }


def is_degraded(before: dict[str, Any], now: dict[str, Any], max_loss: float) -> bool:
    """Return whether an AUC is lower than before by more than `max_loss` and more than chance explains.

    The difference of two independent AUCs is compared with its standard error, the root of the sum of their variances
    (Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143(1), 1982). Either variance is the larger of those at the two AUCs: an AUC that is high by chance has a
    variance that is too small.

    Args:
        before: The `binary_classification_metrics` of the test set.
        now: Those of the labelled rows.
        max_loss: The largest decrease that is allowed.
    """
    areas = [side["auc"]["value"] for side in (before, now)]
    errors = []
    for side in (before, now):
        (tn, fp), (fn, tp) = _confusion(side)
        errors.append(max(metrics.auc_standard_deviation(area, fn + tp, tn + fp) for area in areas))
    return bool(areas[1] < areas[0] - max_loss - ERRORS * math.hypot(*errors))


def _value(found: dict[str, Any], name: str) -> float | None:
    return found[name]["value"] if name in found else None


def _confusion(found: dict[str, Any]) -> list[list[int]]:
    matrix = found["confusion_matrix"]
    return [[matrix[true][called] for called in ("0", "1")] for true in ("0", "1")]
