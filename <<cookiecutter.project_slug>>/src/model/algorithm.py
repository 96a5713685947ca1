"""The algorithm: gradient-boosted trees (XGBoost).

Replace it by any other with `fit`, `save`, `load` and `predict`. The server imports this module, too: import only
xgboost and numpy.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from model.derive import FEATURE_NAMES
from modelkit import distributed
from modelkit.job import JobError
from modelkit.learning import Rows, Trained

together = distributed.xgboost_together
"""Connects the instances of a training job; without it, training uses one instance."""

_LOOP = ("num_round", "early_stopping_rounds")
_ROUNDS_PER_LINE = 10
_ALLOWED = str.maketrans("[]<", "［］＜")  # noqa: RUF001 - XGBoost refuses these characters in names


def fit(train: Rows, validation: Rows, hyperparameters: dict[str, float], threads: int) -> Trained:
    """Train until the AUC on the validation rows stops improving, and keep the trees up to the best.

    Args:
        train: The training rows.
        validation: The rows for early stopping.
        hyperparameters: A value for each of `HYPERPARAMETERS`.
        threads: The number of threads.

    Raises:
        JobError: XGBoost rejects the data.
    """
    names = [name.translate(_ALLOWED) for name in FEATURE_NAMES]
    parameters: dict[str, Any] = {name: value for name, value in hyperparameters.items() if name not in _LOOP}
    parameters |= {"objective": "binary:logistic", "eval_metric": "auc", "tree_method": "hist", "nthread": threads}
    curve: dict[str, dict[str, list[float]]] = {}
    try:
        rows = xgboost.QuantileDMatrix(train.features, train.labels, feature_names=names, nthread=threads)
        held_out = xgboost.QuantileDMatrix(
            validation.features, validation.labels, feature_names=names, nthread=threads, ref=rows
        )
        booster = xgboost.train(
            parameters,
            rows,
            num_boost_round=int(hyperparameters["num_round"]),
            evals=[(rows, "train"), (held_out, "validation")],
            early_stopping_rounds=int(hyperparameters["early_stopping_rounds"]),
            evals_result=curve,
            verbose_eval=_ROUNDS_PER_LINE,
        )
    except xgboost.core.XGBoostError as error:
        raise JobError(f"XGBoost cannot train on this data: {str(error).strip().splitlines()[0]}") from error
    best = booster.best_iteration
    booster = booster[: best + 1]
    booster.set_attr(best_iteration=str(best))
    return Trained(booster, best, curve)


def save(model: xgboost.Booster, folder: Path) -> None:
    """Write the model to its folder."""
    model.save_model(folder / "model.ubj")


def load(folder: Path) -> xgboost.Booster:
    """Load the model from its folder."""
    booster = xgboost.Booster({"nthread": int(os.environ.get("OMP_NUM_THREADS", "1"))})
    booster.load_model(folder / "model.ubj")
    return booster


def predict(data: npt.NDArray[np.float32], model: xgboost.Booster) -> npt.NDArray[np.float32]:
    """Return the n probabilities that the target is true, for an (n, f + d) matrix of n rows."""
    return np.asarray(model.inplace_predict(data))
