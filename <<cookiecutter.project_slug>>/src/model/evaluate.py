"""How the model is judged on the test rows; the quality gate reads the figures that are returned here."""

from typing import Any

from modelkit import evaluation, metrics


def evaluate(labels: metrics.Labels, probabilities: metrics.Values, threshold: float) -> dict[str, Any]:
    """Return the figures of n predictions, in the format of SageMaker Model Monitor.

    Add your own: `{**evaluation.quality(...), "lift": {"value": ...}}`. They are kept with the version, and a condition
    of the quality gate in `pipelines/training.py` may read them.

    Args:
        labels: What happened, n booleans of both classes.
        probabilities: What was predicted, n values from 0 to 1.
        threshold: From which probability on a row is called positive.
    """
    return evaluation.quality(labels, probabilities, threshold)
