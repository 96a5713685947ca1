"""The algorithm: gradient-boosted trees (scikit-learn).

Replace it by any other with `fit`, `save`, `load` and `predict`. The server imports this module, too: import only
scikit-learn and numpy.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from model.derive import FEATURE_NAMES
from modelkit import pickles
from modelkit.job import JobError
from modelkit.learning import Rows, Trained, print_rounds


def fit(train: Rows, validation: Rows, hyperparameters: dict[str, float], threads: int) -> Trained:
    """Train until the AUC on the validation rows stops improving, and keep the trees up to the best.

    The training curve is computed on at most 10 000 rows, the limit of scikit-learn.

    Args:
        train: The training rows.
        validation: The rows for early stopping.
        hyperparameters: A value for each of `HYPERPARAMETERS`.
        threads: The number of threads.

    Raises:
        JobError: scikit-learn rejects the data, for instance a feature without values.
    """
    empty = [name for name, values in zip(FEATURE_NAMES, train.features.T, strict=True) if np.isnan(values).all()]
    if empty:
        raise JobError(f"no training row has a value for {', '.join(empty)}: scikit-learn cannot train on that")
    values: dict[str, Any] = {name: value for name, value in hyperparameters.items() if name != "seed"}
    model = HistGradientBoostingClassifier(
        **values, random_state=int(hyperparameters["seed"]), early_stopping=True, scoring="roc_auc", tol=0
    )
    try:
        with threadpool_limits(threads, user_api="openmp"):
            model.fit(train.features, train.labels, X_val=validation.features, y_val=validation.labels)
    except ValueError as error:
        raise JobError(f"scikit-learn cannot train on this: {str(error).splitlines()[0]}") from error
    # The first score is that of a model without trees.
    scores = {"train": model.train_score_[1:], "validation": model.validation_score_[1:]}
    curve = {split: {"auc": values.tolist()} for split, values in scores.items()}
    print_rounds(curve)
    best = int(np.argmax(scores["validation"]))
    model._predictors = model._predictors[: best + 1]
    return Trained(model, best, curve)


def save(model: HistGradientBoostingClassifier, folder: Path) -> None:
    """Write the model to its folder."""
    pickles.save(model, folder / "model.pkl")


def load(folder: Path) -> HistGradientBoostingClassifier:
    """Load the model from its folder, without executing code from the file."""
    return pickles.load(folder / "model.pkl")


def predict(data: npt.NDArray[np.float32], model: HistGradientBoostingClassifier) -> npt.NDArray[np.float32]:
    """Return the n probabilities that the target is true, for an (n, f + d) matrix of n rows."""
    return np.asarray(model.predict_proba(data)[:, 1], dtype=np.float32)
