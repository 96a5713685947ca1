"""The classifier: gradient-boosted trees (scikit-learn). All that depends on the framework stands here.

Also imported by the server, so that nothing but scikit-learn and numpy is loaded.
"""

import io
import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from model import single_instance
from model.derive import FEATURE_NAMES
from model.job import JobError
from model.learning import Rows, Trained
from model.schema import SCHEMA
from model.signature import require_same

MODEL_FILE = "model.pkl"
"""The model, within its folder: a line of JSON that says what made it, then the pickled estimator."""

VERSIONS = {"scikit-learn": sklearn.__version__}
"""The packages that a model depends on, for its record."""

together = partial(single_instance.alone, "scikit-learn")
"""Enters the training, alone: scikit-learn has no way to train on several instances."""

_ITERATIONS_PER_LINE = 10
_LEFTOVERS = ("_feature_subsample_rng", "_raw_predict", "_scorer")
"""Attributes that only training needs, and that could not be read again without allowing more than data."""

_RECONSTRUCTORS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}
"""What pickled arrays are put together with."""


def fit(train: Rows, validation: Rows, hyperparameters: dict[str, float], threads: int) -> Trained:
    """Grow trees until the AUC on the validation rows stops rising, and keep them up to the best.

    The training curve is that of at most 10 000 rows: scikit-learn scores no more.

    Args:
        train: The rows to learn from.
        validation: The rows that tell when to stop.
        hyperparameters: A value for each of `HYPERPARAMETERS`.
        threads: How many threads to use.

    Raises:
        JobError: scikit-learn refuses the data, for instance a feature without any value.
    """
    empty = [name for name, values in zip(FEATURE_NAMES, train.features.T, strict=True) if np.isnan(values).all()]
    if empty:
        raise JobError(f"no training row has a value of {', '.join(empty)}: scikit-learn cannot train on that")
    values: dict[str, Any] = {name: value for name, value in hyperparameters.items() if name != "seed"}
    model = HistGradientBoostingClassifier(
        **values, random_state=int(hyperparameters["seed"]), early_stopping=True, scoring="roc_auc", tol=0
    )
    try:
        with threadpool_limits(threads, user_api="openmp"):
            model.fit(train.features, train.labels, X_val=validation.features, y_val=validation.labels)
    except ValueError as error:
        raise JobError(f"scikit-learn cannot train on this: {str(error).splitlines()[0]}") from error
    # The first score is that of no tree at all.
    curve = {"train": model.train_score_[1:], "validation": model.validation_score_[1:]}
    best = int(np.argmax(curve["validation"]))
    for iteration in range(0, len(curve["validation"]), _ITERATIONS_PER_LINE):
        figures = "\t".join(f"{split}-auc:{values[iteration]:.5f}" for split, values in curve.items())
        print(f"[{iteration}]\t{figures}")
    model._predictors = model._predictors[: best + 1]
    return Trained(model, best, {split: {"auc": values.tolist()} for split, values in curve.items()})


def save(model: HistGradientBoostingClassifier, folder: Path) -> None:
    """Write the model into its folder."""
    for name in _LEFTOVERS:
        vars(model).pop(name, None)
    header = {"sklearn": sklearn.__version__, "features": FEATURE_NAMES, "encoding": SCHEMA.encoding}
    content = json.dumps(header).encode() + b"\n" + pickle.dumps(model, protocol=5)
    (folder / MODEL_FILE).write_bytes(content)


def load(folder: Path) -> HistGradientBoostingClassifier:
    """Load the model from its folder. Whatever the file holds, no code of it is run.

    Raises:
        OtherSchemaError: It was made under another schema, or with other derived features, than this code's.
        ValueError: There is no model, it is damaged, or another version of scikit-learn made it.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise ValueError(f"there is no {MODEL_FILE} in {folder}")
    header, _, pickled = path.read_bytes().partition(b"\n")
    try:
        made = json.loads(header)
        version, names, encoding = made["sklearn"], made["features"], made["encoding"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a scikit-learn model of this project: {error!r}") from error
    if version != sklearn.__version__:
        raise ValueError(
            f"scikit-learn {version} made {path}, and {sklearn.__version__} is installed: only the same version reads "
            "it reliably; train again, or install that version"
        )
    require_same(names, encoding)
    try:
        model = _Unpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"{path} is damaged: {error!r}") from error
    if not isinstance(model, HistGradientBoostingClassifier):
        raise ValueError(f"{path} holds no classifier but a {type(model).__name__}")
    return model


def predict(data: npt.NDArray[np.float32], model: HistGradientBoostingClassifier) -> npt.NDArray[np.float32]:
    """Return for each of n rows, an (n, f + d) matrix, the probability that the target is true: n values."""
    return np.asarray(model.predict_proba(data)[:, 1], dtype=np.float32)


class _Unpickler(pickle.Unpickler):
    """Reads scikit-learn's own classes and numpy's arrays, and refuses whatever else a file names."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or a function that a pickle names.

        Raises:
            UnpicklingError: It is none that a model is made of.
        """
        if (module, name) in _RECONSTRUCTORS:
            return super().find_class(module, name)
        if module.partition(".")[0] == "sklearn":
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"a model does not hold {module}.{name}")
