"""Metrics of binary classification: predicted probabilities against true labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Curves:
    """The rates at k distinct thresholds in descending order, and above the highest score: k + 1 values each.

    Attributes:
        false_positive_rates: The share of false positives among the negative rows.
        true_positive_rates: The share of true positives among the positive rows, the recall.
        precisions: The share of true positives among the rows classified as positive; 1 at the first point, which has
            no such rows.
    """

    false_positive_rates: npt.NDArray[np.float64]
    true_positive_rates: npt.NDArray[np.float64]
    precisions: npt.NDArray[np.float64]


def auc(labels: Labels, scores: Values) -> float:
    """Return the area under the ROC curve of n rows: the probability that a positive row scores above a negative one.

    This is the Mann-Whitney U statistic over the number of pairs, computed from midranks, so that a tie counts half
    (Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143(1), 1982). Doubled midranks are whole numbers, so the sum is exact.

    Raises:
        ValueError: One of the two classes is absent.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        raise ValueError("the AUC needs rows of both classes")
    _, rank, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    twice_midranks = 2 * last - counts + 1
    twice_sum = int(twice_midranks[rank][labels].sum())
    return (twice_sum - positives * (positives + 1)) / (2 * positives * negatives)


def auc_standard_deviation(area: float, positives: int, negatives: int) -> float:
    """Return the standard error of an AUC (Hanley and McNeil, 1982, equation 1, with their exponential model)."""
    q1 = area / (2 - area)
    q2 = 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    return float(np.sqrt(max(variance, 0.0) / (positives * negatives)))


def curves(labels: Labels, scores: Values) -> Curves:
    """Return the points of the ROC and precision-recall curves of n rows of both classes."""
    order = np.argsort(-scores, kind="stable")
    distinct = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(labels[order])[distinct]
    called = distinct + 1
    return Curves(
        np.append(0.0, (called - hits) / (len(labels) - labels.sum())),
        np.append(0.0, hits / labels.sum()),
        np.append(1.0, hits / called),
    )


def log_losses(labels: Labels, probabilities: Values) -> npt.NDArray[np.float64]:
    """Return the log loss of each of n rows: minus the log of the probability of the true label, clipped at 1e-7."""
    given = np.where(labels, probabilities, 1 - probabilities.astype(np.float64))
    return np.asarray(-np.log(np.maximum(given, 1e-7)))


def squared_errors(labels: Labels, probabilities: Values) -> npt.NDArray[np.float64]:
    """Return the squared error of each of n probabilities; their mean is the Brier score."""
    return np.asarray((probabilities.astype(np.float64) - labels) ** 2)
