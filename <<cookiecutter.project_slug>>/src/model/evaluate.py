"""The metrics of the model on the test rows. The quality gate reads them."""

from typing import Any

from modelkit import evaluation, metrics


def evaluate(labels: metrics.Labels, probabilities: metrics.Values, threshold: float) -> dict[str, Any]:
    """Return the metrics of n predictions, in the format of SageMaker Model Monitor.

    Add your own: `{**evaluation.quality(...), "lift": {"value": ...}}`. They are stored with the version, and a
    condition of the quality gate in `pipelines/training.py` can read them.

    Args:
        labels: The true labels, n booleans of both classes.
        probabilities: The predictions, n values from 0 to 1.
        threshold: The probability from which a prediction is positive.
    """
    return evaluation.quality(labels, probabilities, threshold)
