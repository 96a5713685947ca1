"""Pickled scikit-learn models, loaded without running other code: only its classes and numpy's arrays are allowed."""

import io
import json
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

from modelkit.job import JobError
from modelkit.unpickling import Unpickler

_ONLY_FOR_TRAINING = {"_feature_subsample_rng", "_raw_predict", "_scorer"}
"""Attributes of gradient-boosted trees that could not be loaded without allowing code."""


def save(model: Any, path: Path) -> None:
    """Write an estimator, or a pipeline of estimators, to a file.

    Raises:
        JobError: It contains something that `load` rejects, for instance a function.
    """
    content = io.BytesIO()
    content.write(json.dumps({"sklearn": _version()}).encode() + b"\n")
    try:
        _Pickler(content, protocol=5).dump(model)
        path.write_bytes(content.getvalue())
        load(path)
    except (ValueError, TypeError, AttributeError, pickle.PicklingError) as error:
        path.unlink(missing_ok=True)
        raise JobError(f"the model is more than data: {error}; see save and load in model/algorithm.py") from error


def load(path: Path) -> Any:
    """Read an estimator from a file, without running code from it.

    Raises:
        ValueError: The file does not exist, is damaged, contains no estimator, or was written by another version of
            scikit-learn.
    """
    try:
        header, _, pickled = path.read_bytes().partition(b"\n")
        version = json.loads(header)["sklearn"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a scikit-learn model: {error!r}") from error
    if version != _version():
        raise ValueError(
            f"{path} was written by scikit-learn {version}, but {_version()} is installed: only the same version loads "
            "it reliably; train again, or install that version"
        )
    try:
        model = Unpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"{path} is damaged: {error!r}") from error
    if not callable(getattr(model, "predict", None)):
        raise ValueError(f"{path} contains a {type(model).__name__}, not a model")
    return model


def _version() -> str:
    version: str = import_module("sklearn").__version__
    return version


class _Pickler(pickle.Pickler):
    """Omits the attributes that only training needs, from all estimators of a pipeline."""

    def reducer_override(self, obj: Any) -> Any:
        """Return the reduced form of an object; NotImplemented for the default."""
        if (
            not type(obj).__module__.startswith("sklearn.")
            or not _ONLY_FOR_TRAINING & getattr(obj, "__dict__", {}).keys()
        ):
            return NotImplemented
        reduced = list(obj.__reduce_ex__(5))
        reduced[2] = {name: value for name, value in reduced[2].items() if name not in _ONLY_FOR_TRAINING}
        return tuple(reduced)
