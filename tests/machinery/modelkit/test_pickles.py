"""What is read of a scikit-learn model's file, and what is refused."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from modelkit import pickles
from modelkit.job import JobError

ROWS = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
LABELS = ROWS[:, 0] > 0
HEADER = json.dumps({"sklearn": sklearn.__version__}).encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pkl"


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=3, early_stopping=True, scoring="roc_auc"),
        GradientBoostingClassifier(n_estimators=3, random_state=0),
        RandomForestClassifier(5, random_state=0),
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=3, early_stopping=True)),
        make_pipeline(
            make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [1]), remainder="passthrough"),
            LogisticRegression(),
        ),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_and_pipelines_are_read_as_they_were_written(path: Path, estimator: Any) -> None:
    estimator.fit(ROWS, LABELS)
    expected = estimator.predict_proba(ROWS)
    pickles.save(estimator, path)
    np.testing.assert_array_equal(pickles.load(path).predict_proba(ROWS), expected)
    np.testing.assert_array_equal(estimator.predict_proba(ROWS), expected)


def test_a_model_that_could_not_be_read_is_refused_when_it_is_written(path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression()).fit(ROWS, LABELS)
    with pytest.raises(JobError, match=r"is more than data: .*numpy.* see save and load in model/algorithm\.py"):
        pickles.save(model, path)
    assert not path.exists()


def test_a_model_of_another_scikit_learn_is_refused_before_it_is_read(path: Path) -> None:
    path.write_bytes(json.dumps({"sklearn": "1.2.3"}).encode() + b"\nanything")
    with pytest.raises(ValueError, match=r"written by scikit-learn 1\.2\.3, but .* is installed"):
        pickles.load(path)


class Touch:
    """Unpickled, it makes a file: what a hostile model would do, and worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", [{"a": 1}, sklearn.base.BaseEstimator(), np.array([1])])
def test_a_pickle_of_something_else_is_refused(path: Path, content: object) -> None:
    path.write_bytes(HEADER + pickle.dumps(content))
    with pytest.raises(ValueError, match=r"not a model|is damaged"):
        pickles.load(path)


def test_no_code_in_a_model_s_file_is_run(path: Path) -> None:
    hostile = Touch(path.with_name("touched"))
    path.write_bytes(HEADER + pickle.dumps(hostile))
    with pytest.raises(ValueError, match="is damaged"):
        pickles.load(path)
    assert not hostile.path.exists()
    pickle.loads(pickle.dumps(hostile))
    assert hostile.path.exists(), "the trap itself works"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("os", "system"),
        ("numpy", "fromfile"),
        ("sklearn", "os.system"),
        ("sklearn", "clone"),
        ("sklearn.base", "defaultdict"),
    ],
)
def test_a_model_holds_neither_functions_nor_the_classes_of_others(path: Path, module: str, name: str) -> None:
    pickled = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93."
    path.write_bytes(HEADER + pickled)
    with pytest.raises(ValueError, match="is damaged"):
        pickles.load(path)


def _global(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"


def _value(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]


NDARRAY, DTYPE = _global("numpy", "ndarray"), _global("numpy", "dtype")
RECONSTRUCT = _global("numpy._core.multiarray", "_reconstruct")
OBJECTS = DTYPE + _value(("O8", False, True)) + b"R"
FLAGLESS = OBJECTS + _value((3, "|", None, None, None, -1, -1, 0)) + b"b"
POINTERS = b"\x41" * 16
EMPTY = RECONSTRUCT + b"(" + NDARRAY + _value((0,)) + _value(b"b") + b"tR"

HOSTILE = {
    "an array on pointers": NDARRAY + b"(" + _value((2,)) + OBJECTS + b"C\x10" + POINTERS + b"tR",
    "a new array on pointers": NDARRAY + b"(" + _value((2,)) + OBJECTS + b"C\x10" + POINTERS + b"t\x81",
    "objects restored from bytes": EMPTY + b"(K\x01" + _value((2,)) + OBJECTS + b"\x89C\x10" + POINTERS + b"tb",
    "objects without their flag": EMPTY + b"(K\x01" + _value((2,)) + FLAGLESS + b"\x89C\x10" + POINTERS + b"tb",
    "a buffer of objects": _global("numpy._core.numeric", "_frombuffer")
    + b"(C\x10" + POINTERS + FLAGLESS + _value((2,)) + _value("C") + b"tR",
    "a number that is an object": _global("numpy._core.multiarray", "scalar") + b"(" + FLAGLESS + b"C\x08AAAAAAAAtR",
    "a number that is too short": _global("numpy._core.multiarray", "scalar")
    + b"(" + DTYPE + _value(("V999", False, True)) + b"RC\x01AtR",
    "a type of objects in fields": DTYPE + _value(("V8", False, True)) + b"R(K\x03" + _value("|") + b"N"
    + _value(("a",)) + b"}" + _value("a") + b"(" + OBJECTS + b"K\x00tsK\x08K\x01K\x00tb",
    "a type from a string": DTYPE + _value(("O,O",)) + b"R",
    "an array that is larger": EMPTY + b"(K\x01" + _value((2**40,)) + DTYPE + _value(("f8", False, True))
    + b"R\x89C\x08" + bytes(8) + b"tb",
    "an array of another class": RECONSTRUCT + b"(" + _global("sklearn.tree._tree", "Tree") + _value((0,))
    + _value(b"b") + b"tR",
    "an old way to call": b"(" + _value(("O8",)) + b"inumpy\ndtype\n",
}  # fmt: skip


@pytest.mark.parametrize("pickled", HOSTILE.values(), ids=HOSTILE)
def test_memory_that_is_not_the_file_s_is_never_read(path: Path, pickled: bytes) -> None:
    path.write_bytes(HEADER + b"\x80\x05" + pickled + b".")
    with pytest.raises(ValueError, match=r"is damaged: (UnpicklingError|KeyError)") as refused:
        pickles.load(path)
    assert "pickle data was truncated" not in str(refused.value)


def changed(model: Any, attribute: str, change: Callable[[Any], None]) -> Any:
    """Return a fitted model of which a tree is changed, as a file may say it is."""
    model.fit(ROWS, LABELS)
    if attribute == "_predictors":
        change(model._predictors[0][0].nodes)
        return model
    tree = np.ravel(model.estimators_)[-1].tree_
    state = tree.__reduce__()[2]
    change(state["nodes"])
    tree.__setstate__(state)
    return model


@pytest.mark.parametrize(
    ("estimator", "attribute", "field", "value"),
    [
        (HistGradientBoostingClassifier(max_iter=2), "_predictors", "left", 2**31),
        (HistGradientBoostingClassifier(max_iter=2), "_predictors", "right", 0),
        (HistGradientBoostingClassifier(max_iter=2), "_predictors", "feature_idx", 4),
        (RandomForestClassifier(2, random_state=0), "estimators_", "left_child", 10**9),
        (RandomForestClassifier(2, random_state=0), "estimators_", "right_child", 0),
        (RandomForestClassifier(2, random_state=0), "estimators_", "feature", 4),
        (GradientBoostingClassifier(n_estimators=2, random_state=0), "estimators_", "feature", -1),
    ],
)
def test_a_tree_that_would_read_beyond_its_nodes_or_features_is_refused(
    path: Path, estimator: Any, attribute: str, field: str, value: int
) -> None:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    model = changed(estimator, attribute, change)
    with pytest.raises(JobError, match="more than data"):
        pickles.save(model, path)
    assert not path.exists()
