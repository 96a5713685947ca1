import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.derive import DERIVED, FEATURE_NAMES
from model.schema import SCHEMA
from modelkit import features, inference
from modelkit.parsing import parse
from modelkit.schema import Column, Schema
from tests.projects import SOURCES

NAMES = list(SCHEMA.feature_names)
CSV = "text/csv"
JSON = "application/json"


def records(visits: Any, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = visits.select(NAMES).slice(0, count).to_pylist()
    return rows


def as_text(value: Any) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def as_csv(rows: list[dict[str, Any]], names: list[str] = NAMES) -> str:
    return "".join(",".join(as_text(row[name]) for name in names) + "\n" for row in rows)


@pytest.fixture
def row(visits: Any) -> dict[str, Any]:
    return {name: value if value is not None else 1.0 for name, value in records(visits, 1)[0].items()}


def test_every_format_gives_the_matrix_that_training_sees(visits: Any) -> None:
    rows = records(visits, 200)
    expected = features.matrix(visits.slice(0, 200), SCHEMA, DERIVED)
    assert np.isnan(expected).any()
    lists = [list(record.values()) for record in rows]
    backwards = NAMES[::-1]
    requests = [
        (as_csv(rows), CSV),
        (",".join(NAMES) + "\n" + as_csv(rows), "text/csv; charset=utf-8"),
        (",".join(backwards) + "\r\n" + as_csv(rows, backwards).replace("\n", "\r\n"), "TEXT/CSV"),
        (",".join(f'"{name}"' for name in NAMES) + "\n" + as_csv(rows), CSV),
        ("\ufeff" + as_csv(rows), CSV),
        (json.dumps({"instances": lists}), JSON),
        (json.dumps(rows), JSON),
        (json.dumps({"instances": [{"features": values} for values in lists]}), JSON),
        (json.dumps({"instances": [dict(reversed(record.items())) for record in rows]}), JSON),
        ("\n".join(json.dumps(record) for record in rows), "application/x-ndjson"),
        ("".join(json.dumps(values) + "\n" for values in lists), "application/jsonlines"),
        ("".join(json.dumps({"features": values}) + "\n" for values in lists), "application/jsonlines"),
    ]
    for body, content_type in requests:
        for form in (body, body.encode(), bytearray(body.encode())):
            np.testing.assert_array_equal(inference.input_fn(form, content_type), expected)


def test_fields_that_are_no_features_are_ignored_where_the_schema_says_so(
    row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"zip": "04, 2", **row, "id": 7}
    header = ",".join(more) + "\n"
    values = ",".join(as_text(value) for value in row.values())
    requests = [
        (json.dumps(more), JSON),
        (json.dumps({"instances": [more]}), JSON),
        (json.dumps(more), "application/jsonlines"),
        (f'{header}"04, 2",{values},7\n', CSV),
    ]
    for body, content_type in requests:
        with pytest.raises(ValueError, match="has unknown 'zip', 'id'"):
            inference.input_fn(body, content_type)
    expected = inference.input_fn(json.dumps(row), JSON)
    monkeypatch.setattr(inference, "SCHEMA", dataclasses.replace(SCHEMA, extra_fields="ignore"))
    for body, content_type in requests:
        np.testing.assert_array_equal(inference.input_fn(body, content_type), expected)
    with pytest.raises(ValueError, match="row 1 lacks age"):
        inference.input_fn(json.dumps({name: value for name, value in more.items() if name != "age"}), JSON)
    with pytest.raises(ValueError, match=f"row 1 has 18 values; expected {len(more)}"):
        inference.input_fn(f"{header}{values},7\n", CSV)


@pytest.mark.parametrize("unknown", ["missing", "other"])
def test_a_new_category_is_decoded_as_training_takes_it(unknown: Any) -> None:
    column = Column("colour", "string", "feature", "", True, categories=("red", "other"), unknown=unknown)
    expected = np.array([0.0, 1.0, np.nan if unknown == "missing" else 1.0])
    for null in ("", None):
        decode = inference.decoder(column, float, float, null)
        np.testing.assert_array_equal([decode(text) for text in ("red", "other", "blue")], expected)
        assert np.isnan(decode(null))
    values: list[Any] = [1, True, [], {}, ""]
    for value in values:
        with pytest.raises((ValueError, TypeError)):
            decode(value)
    schema = Schema((column, Column("came", "boolean", "target", ""), Column("id", "string", "attribute", "")), "id")
    typed = parse(pa.array(["red", "other", "blue"]), column).values
    np.testing.assert_array_equal(features.matrix(pa.table({"colour": typed}), schema, {})[:, 0], expected)


def test_one_row_needs_no_list(row: dict[str, Any]) -> None:
    expected = inference.input_fn(json.dumps([row]), JSON)
    np.testing.assert_array_equal(inference.input_fn(json.dumps(row), JSON), expected)
    with pytest.raises(ValueError, match="row 1 lacks age"):
        inference.input_fn(json.dumps({name: value for name, value in row.items() if name != "age"}), JSON)


@settings(deadline=None, max_examples=50)
@given(
    text=st.one_of(
        st.from_regex(r"[+-]?[0-9]{0,6}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,2})?", fullmatch=True),
        st.sampled_from(["", "nan", "inf", "1_0", "0x1", " 1", "1 ", "true", "FALSE", "٣", ".", "1e39", "2", "1.0"]),
        st.text(st.characters(exclude_characters='\n\r,"', exclude_categories=["Cs"]), max_size=4),
    ),
    position=st.integers(0, len(NAMES) - 1),
)
def test_a_request_accepts_a_text_exactly_when_training_does(text: str, position: int) -> None:
    column = SCHEMA.features[position]
    fields = [column.categories[0] if column.categories else "1" for column in SCHEMA.features]
    fields[position] = text
    try:
        served = float(inference.input_fn(",".join(fields), CSV)[0, position])
    except ValueError:
        served = None
    parsed = parse(pa.array([text or None], pa.string()), column)
    value = parsed.values[0].as_py()
    if parsed.invalid is not None or (value is None and not column.nullable):
        assert served is None
    elif column.categories:
        assert served == (float(column.categories.index(value)) if value in column.categories else None)
    else:
        assert served == pytest.approx(np.float32("nan" if value is None else value), nan_ok=True)


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        ("age", "old", "row 1, column 'age': 'old' is not of type number"),
        ("age", "nan", "'nan' is not of type number"),
        ("age", "1e39", "'1e39' is not of type number"),
        ("family_size", "2.5", "column 'family_size': '2.5' is not of type integer"),
        ("female", "2", "column 'female': '2' is not of type boolean"),
        ("female", "", "column 'female': the value is missing, and the column is not nullable"),
        ("site", "site-9", "column 'site': 'site-9' is not one of site-1, site-2"),
        ("site", "", "column 'site': the value is missing"),
    ],
)
def test_a_bad_csv_value_is_named_with_row_and_column(row: dict[str, Any], column: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        inference.input_fn(as_csv([row | {column: text}]), CSV)
    with pytest.raises(ValueError, match=reason.replace("row 1", "row 2")):
        inference.input_fn(as_csv([row, row | {column: text}]), CSV)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("age", "40", "column 'age': '40' is not of type number"),
        ("age", True, "column 'age': True is not of type number"),
        ("age", [], r"column 'age': \[\] is not of type number"),
        ("age", 10**400, "column 'age': 1000"),
        ("female", 2, "column 'female': 2 is not of type boolean"),
        ("female", None, "column 'female': the value is missing"),
        ("family_size", 2.5, "column 'family_size': 2.5 is not of type integer"),
        ("site", 1, "column 'site': 1 is not one of site-1"),
        ("site", ["site-1"], "column 'site'"),
        ("site", {}, "column 'site'"),
    ],
)
def test_a_bad_json_value_is_named_with_row_and_column(
    row: dict[str, Any], column: str, value: object, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        inference.input_fn(json.dumps([row | {column: value}]), JSON)


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"", CSV, "has no rows"),
        (b"\n\n", CSV, "has no rows"),
        (b"1,2\n", CSV, "row 1 has 2 values; expected 17"),
        (b"\xff\xfe", CSV, "not UTF-8 text: byte 0"),
        (b'"1,2\n', CSV, "not CSV"),
        (",".join(NAMES).encode(), CSV, "has no rows"),
        (",".join([*NAMES[1:], "extra"]).encode(), CSV, "the header lacks year and has unknown 'extra'"),
        (",".join([*NAMES, "age"]).encode(), CSV, "the header repeats age"),
        (",".join(NAMES).encode() + b"\n1\n", CSV, "row 1 has 1 values"),
        (b"", JSON, "the request is not valid JSON"),
        (b"{", JSON, "the request is not valid JSON"),
        (b"[" * 100_000, JSON, "nested too deeply"),
        (b"NaN", JSON, "NaN is not JSON"),
        (b"[Infinity]", JSON, "Infinity is not JSON"),
        (b"[" + b"9" * 5_000 + b"]", JSON, "not valid JSON"),
        (b'{"rows": []}', JSON, 'must be a row, by column name, or have one member, "instances"'),
        (b'{"instances": {}}', JSON, "rows must be a list"),
        (b'{"instances": []}', JSON, "has no rows"),
        (b'{"instances": [], "instances": []}', JSON, "has a duplicate member"),
        (b"7", JSON, "rows must be a list"),
        (b"[7]", JSON, "row 1 is neither a list of values nor an object"),
        (b'["abc"]', JSON, "row 1 is neither"),
        (b'[{"age": 1, "wage": 2}]', JSON, "row 1 lacks year, site"),
        (b"[[]]", JSON, "row 1 has 0 values"),
        (b"[1]\n\n[2]", "application/jsonlines", "row 1 has 1 values|line 2 is not valid JSON"),
        (b"<a/>", "application/xml", "content type 'application/xml' is not supported"),
        (b"1", "", "is not supported"),
    ],
)
def test_a_hostile_request_is_told_what_is_wrong(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        inference.input_fn(body, content_type)


@settings(deadline=None, max_examples=50)
@given(body=st.binary(max_size=60), content_type=st.sampled_from([CSV, JSON, "application/jsonlines"]))
def test_no_request_fails_in_another_way(body: bytes, content_type: str) -> None:
    with contextlib.suppress(ValueError):
        assert inference.input_fn(body, content_type).shape[1] == len(FEATURE_NAMES)


def test_predictions_come_back_in_each_format(model_folder: Path, visits: Any) -> None:
    booster = inference.model_fn(str(model_folder))
    matrix = inference.input_fn(as_csv(records(visits, 50)), CSV)
    prediction = inference.predict_fn(matrix, booster)
    assert prediction.shape == (50,)
    assert ((prediction > 0) & (prediction < 1)).all()
    values = prediction.tolist()
    assert [float(line) for line in inference.output_fn(prediction, CSV).splitlines()] == values
    for accept in (JSON, "*/*", "", "application/json; charset=utf-8"):
        assert json.loads(inference.output_fn(prediction, accept)) == {"predictions": values}
    lines = inference.output_fn(prediction, "application/jsonlines").splitlines()
    assert [json.loads(line) for line in lines] == [{"prediction": value} for value in values]
    with pytest.raises(ValueError, match="response type 'image/png' is not supported"):
        inference.output_fn(prediction, "image/png")


def test_a_folder_without_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"schema cannot be read from .*schema\.json"):
        inference.model_fn(str(tmp_path))


def test_the_sample_request_is_accepted() -> None:
    request = SOURCES / "data" / "request.csv"
    assert inference.input_fn(request.read_bytes(), CSV).shape == (3, len(FEATURE_NAMES))
