"""What is read of a scikit-learn model's file, and what is refused."""

import json
import pickle
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
