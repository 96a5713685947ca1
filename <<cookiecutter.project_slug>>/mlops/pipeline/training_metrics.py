"""The metrics that SageMaker reads from the log of a training job."""

import re

# DescribeTrainingJob names these metrics `train:<metric>` and `validation:<metric>` for that image, and reads them from
# XGBoost's log lines, `[<round>]<tab>train-auc:<figure><tab>validation-auc:<figure>`. A tab is `#011` in the log.
# SageMaker's expressions have `.*` at both ends: it changes no result, but makes searching a long line quadratic.
# The metrics: metrics.py and xgb_constants.py of https://github.com/aws/sagemaker-xgboost-container
_ALGORITHM = "sagemaker-xgboost"
_METRICS = (
    *("accuracy", "aft-nloglik", "auc", "aucpr", "balanced_accuracy", "cox-nloglik", "error", "f1", "f1_binary"),
    *("f1_macro", "gamma-deviance", "gamma-nloglik", "interval-regression-accuracy", "logloss", "mae", "map", "mape"),
    *("merror", "mlogloss", "mphe", "mse", "ndcg", "poisson-nloglik", "precision", "precision_macro"),
    *("precision_micro", "r2", "recall", "recall_macro", "recall_micro", "rmse", "rmsle", "tweedie-nloglik"),
)
_FIGURE = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def built_in(image: str) -> list[dict[str, str]]:
    """Return SageMaker's metric definitions for an image of its built-in algorithms; empty for other images.

    For such an image CreateTrainingJob refuses definitions in the request, even if the job runs a custom script.
    """
    if re.split("[:@]", image.rpartition("/")[2])[0] != _ALGORITHM:
        return []
    return [
        {"Name": f"{split}:{metric}", "Regex": rf"\[[0-9]+\].*#011{split}-{metric}:{_FIGURE}"}
        for metric in _METRICS
        for split in ("train", "validation")
    ]
