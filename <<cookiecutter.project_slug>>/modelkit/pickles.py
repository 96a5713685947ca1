"""Models of scikit-learn in a file that is read without running code of it: its own classes and numpy's arrays only."""

import io
import json
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

from modelkit.job import JobError

_PARTS = {
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pickle", "__randomstate_ctor"),
    ("numpy.random._mt19937", "MT19937"),
    *(("numpy", f"{kind}{bits}") for kind in ("int", "float") for bits in (32, 64)),
}
"""What pickled arrays, numbers, selections of columns and generators of random numbers are put together with."""

_ONLY_FOR_TRAINING = {"_feature_subsample_rng", "_raw_predict", "_scorer"}
"""Attributes of gradient-boosted trees that could not be read again without allowing more than data."""


def save(model: Any, path: Path) -> None:
    """Write an estimator, or a pipeline of estimators, to a file.

    Raises:
        JobError: It holds what `load` refuses, for instance a function.
    """
    content = io.BytesIO()
    content.write(json.dumps({"sklearn": _version()}).encode() + b"\n")
    try:
        _Pickler(content, protocol=5).dump(model)
        path.write_bytes(content.getvalue())
        load(path)
    except (ValueError, TypeError, AttributeError, pickle.PicklingError) as error:
        path.unlink(missing_ok=True)
        raise JobError(f"the model cannot be kept as data: {error}; see model/algorithm.py, save and load") from error


def load(path: Path) -> Any:
    """Read an estimator from a file. Whatever the file holds, no code of it is run.

    Raises:
        ValueError: There is no such file, it is damaged, holds something else, or another version of scikit-learn made
            it.
    """
    try:
        header, _, pickled = path.read_bytes().partition(b"\n")
        version = json.loads(header)["sklearn"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a scikit-learn model: {error!r}") from error
    if version != _version():
        raise ValueError(
            f"scikit-learn {version} made {path}, and {_version()} is installed: only the same version reads it "
            "reliably; train again, or install that version"
        )
    try:
        model = _Unpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"{path} is damaged: {error!r}") from error
    if not callable(getattr(model, "predict", None)):
        raise ValueError(f"{path} holds no model but a {type(model).__name__}")
    return model


def _version() -> str:
    version: str = import_module("sklearn").__version__
    return version


class _Pickler(pickle.Pickler):
    """Leaves out what only training needs, wherever in a pipeline it is."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how to pickle an object; NotImplemented for the usual way."""
        if (
            not type(obj).__module__.startswith("sklearn.")
            or not _ONLY_FOR_TRAINING & getattr(obj, "__dict__", {}).keys()
        ):
            return NotImplemented
        reduced = list(obj.__reduce_ex__(5))
        reduced[2] = {name: value for name, value in reduced[2].items() if name not in _ONLY_FOR_TRAINING}
        return tuple(reduced)


class _Unpickler(pickle.Unpickler):
    """Reads scikit-learn's own classes and numpy's arrays, and refuses whatever else a file names."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or a function that a pickle names.

        Raises:
            UnpicklingError: It is none that a model is made of.
        """
        if (module, name) in _PARTS:
            return super().find_class(module, name)
        if module.partition(".")[0] == "sklearn":
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"a model does not hold {module}.{name}")
