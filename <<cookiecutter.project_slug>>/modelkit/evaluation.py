"""Model quality metrics, in the format of SageMaker Model Monitor's model quality statistics."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelkit import metrics

_CURVE_POINTS = 200
_IMPORTANCE_ROWS = 5_000


def quality(labels: metrics.Labels, probabilities: npt.NDArray[np.float32], threshold: float = 0.5) -> dict[str, Any]:
    """Return the model quality of n predictions as `binary_classification_metrics`.

    Args:
        labels: The true labels, n booleans of both classes.
        probabilities: The predicted probabilities, n values from 0 to 1.
        threshold: The lowest probability that is classified as positive.
    """
    area = metrics.auc(labels, probabilities)
    points = metrics.curves(labels, probabilities)
    kept = np.unique(np.linspace(0, len(points.precisions) - 1, _CURVE_POINTS).round().astype(int))
    positives = int(labels.sum())
    return {
        "auc": {
            "value": area,
            "standard_deviation": metrics.auc_standard_deviation(area, positives, len(labels) - positives),
        },
        **classification(labels, probabilities, threshold),
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": points.false_positive_rates[kept].tolist(),
            "true_positive_rates": points.true_positive_rates[kept].tolist(),
        },
        "precision_recall_curve": {
            "precisions": points.precisions[kept].tolist(),
            "recalls": points.true_positive_rates[kept].tolist(),
        },
    }


def classification(labels: metrics.Labels, probabilities: npt.NDArray[np.float32], threshold: float) -> dict[str, Any]:
    """Return the part of the model quality that does not need labels of both classes.

    Args:
        labels: The true labels, n booleans.
        probabilities: The predicted probabilities, n values from 0 to 1.
        threshold: The lowest probability that is classified as positive.
    """
    (tn, fp), (fn, tp) = confusion(labels, probabilities >= threshold)
    positives, negatives = tp + fn, tn + fp
    return {
        "confusion_matrix": {"0": {"0": tn, "1": fp}, "1": {"0": fn, "1": tp}},
        "accuracy": _proportion(tp + tn, len(labels)),
        "precision": _proportion(tp, tp + fp),
        "recall": _proportion(tp, positives),
        "true_positive_rate": _proportion(tp, positives),
        "true_negative_rate": _proportion(tn, negatives),
        "false_positive_rate": _proportion(fp, negatives),
        "false_negative_rate": _proportion(fn, positives),
        "f1": {"value": _ratio(2 * tp, 2 * tp + fp + fn)},
        "log_loss": _mean(metrics.log_losses(labels, probabilities)),
        "brier_score": _mean(metrics.squared_errors(labels, probabilities)),
    }


def confusion(labels: metrics.Labels, called: metrics.Labels) -> list[list[int]]:
    """Return the 2 by 2 counts of rows, by true and then by predicted label."""
    counts = np.bincount(2 * labels.astype(np.intp) + called, minlength=4)
    return [[int(counts[0]), int(counts[1])], [int(counts[2]), int(counts[3])]]


def classification_report(labels: metrics.Labels, called: metrics.Labels) -> dict[str, Any]:
    """Return precision, recall, F1 and support of each class, and their macro and weighted averages."""
    matrix = confusion(labels, called)
    classes: dict[str, dict[str, float]] = {}
    for index in (0, 1):
        hits, support = matrix[index][index], sum(matrix[index])
        calls = matrix[0][index] + matrix[1][index]
        classes[str(index)] = {
            "precision": _ratio(hits, calls),
            "recall": _ratio(hits, support),
            "f1": _ratio(2 * hits, calls + support),
            "support": support,
        }
    rows = len(labels)
    measures = ("precision", "recall", "f1")
    return {
        **classes,
        "accuracy": (matrix[0][0] + matrix[1][1]) / rows,
        "macro_average": {name: sum(row[name] for row in classes.values()) / 2 for name in measures},
        "weighted_average": {
            name: sum(row[name] * row["support"] for row in classes.values()) / rows for name in measures
        },
    }


def feature_importance(
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    data: npt.NDArray[np.float32],
    labels: metrics.Labels,
    names: Sequence[str],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return each feature's share of the total importance, largest first.

    A feature's importance is the decrease in AUC when its values are shuffled among the rows (permutation importance:
    Breiman, Random Forests, 2001), so it is comparable between frameworks; if the AUC does not decrease, it is 0. At
    most `_IMPORTANCE_ROWS` rows of each class are used.

    Args:
        predict: Returns the n probabilities for an (n, f + d) matrix.
        data: The (n, f + d) matrix of the rows.
        labels: The true labels, n booleans of both classes.
        names: The names of the f + d features.
        seed: The seed of the sampling and shuffling.
    """
    random = np.random.default_rng(seed)
    sides = [random.permutation(np.flatnonzero(labels == side))[:_IMPORTANCE_ROWS] for side in (False, True)]
    chosen = np.concatenate(sides)
    data, labels = data[chosen], labels[chosen]
    area = metrics.auc(labels, predict(data))
    falls = []
    for position in range(len(names)):
        shuffled = data.copy()
        shuffled[:, position] = random.permutation(data[:, position])
        falls.append(max(0.0, area - metrics.auc(labels, predict(shuffled))))
    total = sum(falls) or 1.0
    shares = [{"feature": name, "importance": fall / total} for name, fall in zip(names, falls, strict=True)]
    return sorted(shares, key=lambda share: -share["importance"])


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, or 0 if the whole is 0: a metric without rows is 0."""
    return part / whole if whole else 0.0


def _proportion(part: int, whole: int) -> dict[str, float]:
    """Return a share with the standard deviation of a binomial proportion."""
    share = _ratio(part, whole)
    return {"value": share, "standard_deviation": math.sqrt(_ratio(share * (1 - share), whole))}


def _mean(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return a mean with its standard error."""
    return {"value": float(values.mean()), "standard_deviation": float(values.std() / math.sqrt(len(values)))}
