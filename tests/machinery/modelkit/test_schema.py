import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from model.schema import SCHEMA
from modelkit import features, signature
from modelkit.job import JobError
from modelkit.schema import Column, Facet, Schema

GROUP = Column("person", "integer", "attribute", "who")
AGE = Column("age", "number", "feature", "years", nullable=True)
COLOUR = Column("colour", "string", "feature", "of the door", nullable=True, categories=("red", "green"))
TARGET = Column("visited", "boolean", "target", "came")
SMALL = Schema((GROUP, COLOUR, AGE, TARGET), group="person")


def test_features_keep_the_order_of_the_schema_and_leave_out_identifiers_and_target() -> None:
    assert SMALL.feature_names == ("colour", "age")
    assert SMALL.target == "visited"
    assert {"person", "visited"}.isdisjoint(SCHEMA.feature_names)


def test_a_matrix_has_codes_for_categories_and_nan_for_missing_values() -> None:
    table = pa.table({"age": [1.5, None, 3.0], "colour": ["green", None, "red"]})
    expected = np.array([[1, 1.5], [np.nan, np.nan], [0, 3]], dtype=np.float32)
    result = features.matrix(table, SMALL, {})
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)


def test_an_unknown_category_is_named_with_its_column() -> None:
    table = pa.table({"age": [1.0], "colour": ["blue"]})
    with pytest.raises(JobError, match="column 'colour': 'blue' is not one of red, green"):
        features.matrix(table, SMALL, {})


def test_a_row_without_target_is_refused() -> None:
    with pytest.raises(JobError, match="1 rows have no value"):
        features.labels(pa.table({"visited": [True, None]}), SMALL)


def test_the_encoding_changes_with_the_order_of_categories() -> None:
    swapped = replace(SMALL, columns=(GROUP, replace(COLOUR, categories=("green", "red")), AGE, TARGET))
    assert json.loads(SMALL.encoding) == [["colour", "string", "red", "green"], ["age", "number"]]
    assert swapped.encoding != SMALL.encoding


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (lambda: Column("colour", "string", "feature", ""), "needs its categories"),
        (lambda: Column("age", "number", "feature", "", categories=("a",)), "type must be string"),
        (lambda: Column("age", "number", "feature", "", minimum=2, maximum=1), "minimum of 'age' is above"),
        (lambda: Column("colour", "string", "feature", "", categories=("a", "a")), "distinct"),
        (lambda: replace(COLOUR, unknown=cast(Any, "ignore")), "'ignore' is not one of refuse, missing, other"),
        (lambda: replace(COLOUR, unknown="other"), "of the category 'other', which it lacks"),
        (lambda: replace(COLOUR, unknown="missing", nullable=False), "must be nullable"),
        (lambda: replace(AGE, unknown="missing"), "has no categories"),
        (lambda: Schema((GROUP, AGE, AGE, TARGET), group="person"), "declared twice: age"),
        (lambda: Schema((GROUP, AGE), group="person"), "role target"),
        (lambda: Schema((GROUP, TARGET), group="person"), "role feature"),
        (lambda: Schema((GROUP, AGE, TARGET), group="family"), "no such column: family"),
        (lambda: Schema((AGE, TARGET), group="age"), "must be an integer or a string"),
        (lambda: Schema((replace(GROUP, nullable=True), AGE, TARGET), group="person"), "and not nullable"),
        (lambda: replace(SMALL, facet=Facet("sex", True, 1, 1)), "no such column: sex"),
    ],
)
def test_a_contradictory_schema_says_what_is_wrong(declared: object, reason: str) -> None:
    assert callable(declared)
    with pytest.raises(ValueError, match=reason):
        declared()


@pytest.mark.parametrize(("kind", "role"), [("int", "feature"), ("integer", "features")])
def test_a_misspelled_type_or_role_is_refused_by_name(kind: str, role: str) -> None:
    with pytest.raises(ValueError, match=r"column 'price': '(int|features)' is not one of"):
        Column("price", kind, role, "")  # type: ignore[arg-type]


@pytest.mark.parametrize("schema", [SCHEMA, SMALL])
def test_a_schema_is_read_back_from_its_document(schema: Schema) -> None:
    document = json.loads(json.dumps(schema.document()))
    assert Schema.from_document({**document, "derived": ["one"]}) == schema


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"columns": 7, "facet": null}'])
def test_a_schema_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "schema.json").write_text(content)
    with pytest.raises(ValueError, match=r"schema cannot be read from .*schema\.json"):
        signature.read(tmp_path / "schema.json")


@pytest.mark.parametrize(
    ("schema", "derived", "reason"),
    [
        (replace(SMALL, columns=(GROUP, AGE, TARGET)), ["sum"], "on other features: without colour"),
        (replace(SMALL, columns=(GROUP, AGE, COLOUR, TARGET)), ["sum"], "in another order"),
        (SMALL, [], "without sum"),
        (SMALL, ["sum", *"abcdef"], "with a, b, c, d, e and 1 more"),
        (replace(SMALL, columns=(GROUP, replace(COLOUR, categories=("red",)), AGE, TARGET)), ["sum"], "other types or"),
    ],
)
def test_a_model_of_another_schema_is_refused(tmp_path: Path, schema: Schema, derived: list[str], reason: str) -> None:
    signature.write(tmp_path, schema, derived)
    with pytest.raises(signature.OtherSchemaError, match=reason):
        signature.require_same(tmp_path, SMALL, ["sum"])
    signature.write(tmp_path, SMALL, ["sum"])
    signature.require_same(tmp_path, SMALL, ["sum"])
