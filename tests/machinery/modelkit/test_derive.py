import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from model import derive
from model.schema import SCHEMA
from modelkit import derived, features, inference
from modelkit.derived import Columns, Values
from modelkit.jobs import validate

RAW = np.array([[1, 2], [3, 0], [0, 0], [np.nan, 1]], dtype=np.float32)
NAMES = ("a", "b")


def ratio(columns: Columns) -> Values:
    return columns["a"] / columns["b"]


def test_derived_features_follow_the_raw_ones_in_declared_order() -> None:
    result = derived.completed(RAW, NAMES, {"twice": lambda columns: columns["b"] * 2, "ratio": ratio})
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result[:, :2], RAW)
    np.testing.assert_array_equal(result[:, 2], RAW[:, 1] * 2)
    assert result[0, 3] == 0.5


def test_what_cannot_be_computed_is_missing() -> None:
    assert np.isnan(derived.completed(RAW, NAMES, {"ratio": ratio})[1:, 2]).all()


def test_without_derived_features_the_rows_stay_as_they_are() -> None:
    np.testing.assert_array_equal(derived.completed(RAW, NAMES, {}), RAW)


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("c", lambda columns: columns["wage"], "the schema has no feature 'wage'"),
        ("c", lambda columns: columns["a"].mean(), r"'c' must return one value per row, not shape \(\)"),
        ("c", lambda columns: columns["a"][:1], r"not shape \(1,\)"),
        ("b", ratio, "'b' is the name of a feature of the schema"),
    ],
)
def test_a_derived_feature_that_does_not_fit_is_named(name: str, function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"model/derive.py: .*{reason}"):
        derived.completed(RAW, NAMES, {name: function})


def test_validation_says_at_once_that_a_derived_feature_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(derive, "DERIVED", {"c": lambda columns: columns["wage"]})
    failure = tmp_path / "failure"
    arguments = ["--data", str(tmp_path), "--report", str(tmp_path / "out"), "--data-version", "v1"]
    assert validate.main([*arguments, "--failure-file", str(failure)]) == 1
    assert failure.read_text().startswith("model/derive.py: the schema has no feature 'wage'; change")


def test_the_sample_s_features_are_dollars_for_each_member_of_the_family(visits: Any) -> None:
    record = visits.select(SCHEMA.feature_names).slice(0, 1).to_pylist()[0]
    record |= {"income": 9_000.0, "expenditure_limit": None, "family_size": 4}
    served = inference.input_fn(json.dumps([record]), "application/json")[0]
    trained = features.matrix(pa.Table.from_pylist([record]), SCHEMA, derive.DERIVED)[0]
    np.testing.assert_array_equal(served, trained)
    assert served[derive.FEATURE_NAMES.index("income_per_person")] == 2_250
    assert np.isnan(served[derive.FEATURE_NAMES.index("expenditure_limit_per_person")])
