import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from model.schema import SCHEMA
from modelkit import bias, dataset, synthetic
from modelkit.jobs import validate
from modelkit.rules import Violation
from tests.projects import SOURCES

Rows = list[list[str]]
NAMES = list(SCHEMA.names)


def rows_of(folder: Path) -> Rows:
    return list(csv.reader((folder / "visits.csv").read_text().splitlines()))


def check(path: Path, limit: float = 0.2) -> dict[str, Violation]:
    found = validate.validate(path, SCHEMA, limit).violations
    return {violation.rule: violation for violation in found}


@pytest.fixture
def broken(visits_folder: Path, tmp_path: Path) -> Callable[[Callable[[Rows], object]], Path]:
    """Write the sound data after something was done to its rows; row 0 is the header."""

    def write(change: Callable[[Rows], object]) -> Path:
        rows = rows_of(visits_folder)
        change(rows)
        path = tmp_path / "visits.csv"
        path.write_text("".join(",".join(row) + "\n" for row in rows))
        return tmp_path

    return write


def put(row: int, column: str, value: str) -> Callable[[Rows], object]:
    return lambda rows: rows[row].__setitem__(NAMES.index(column), value)


def put_all(column: str, value: str) -> Callable[[Rows], object]:
    return lambda rows: [row.__setitem__(NAMES.index(column), value) for row in rows[1:]]


def test_sound_data_breaks_no_rule(visits_folder: Path, visits: Any) -> None:
    validation = validate.validate(visits_folder, SCHEMA, 0.2)
    assert validation.violations == []
    assert validation.rows == visits.num_rows
    assert validation.files == [{"name": "visits.csv", "rows": visits.num_rows}]


def test_the_sample_data_follows_the_schema() -> None:
    raw = SOURCES / "data" / "raw"
    validation = validate.validate(raw, SCHEMA, 0.1)
    assert validation.violations == []
    assert validation.rows == 20_190


def test_compressed_csv_and_parquet_are_read_together(visits: Any, tmp_path: Path) -> None:
    synthetic.write(visits.slice(0, 800), tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    (tmp_path / "a.csv").unlink()
    parquet.write_table(visits.slice(800), tmp_path / "b.parquet")
    validation = validate.validate(tmp_path, SCHEMA, 0.2)
    assert validation.violations == []
    assert validation.rows == visits.num_rows


@pytest.mark.parametrize(
    ("row", "column", "value", "rule", "message"),
    [
        (3, "age", "old", "type", "column 'age': not a number in 1 row, for example 'old' (row 3 of visits.csv)"),
        (4, "age", "nan", "type", "'nan' (row 4 of visits.csv)"),
        (4, "age", "inf", "type", "'inf' (row 4"),
        (4, "age", " 40", "type", "' 40' (row 4"),
        (5, "family_size", "2.5", "type", "not an integer in 1 row, for example '2.5' (row 5"),
        (5, "family_size", "0x2", "type", "'0x2' (row 5"),
        (6, "female", "2", "type", "not a boolean in 1 row, for example '2' (row 6"),
        (7, "site", "site-9", "category", "'site-9' (row 7 of visits.csv)"),
        (8, "age", "-1", "minimum", "below the minimum 0 in 1 row, for example '-1' (row 8"),
        (9, "income", "1e9", "maximum", "above the maximum 100000 in 1 row, for example '1e9' (row 9"),
        (10, "female", "", "null", "column 'female': no value in 1 row, and it is not nullable"),
    ],
)
def test_a_bad_value_is_named_with_column_rule_and_row(
    broken: Callable[..., Path], row: int, column: str, value: str, rule: str, message: str
) -> None:
    violations = check(broken(put(row, column, value)))
    assert set(violations) == {rule}
    assert violations[rule].column == column
    assert violations[rule].rows == 1
    assert message in violations[rule].message


@pytest.mark.parametrize("value", ["3.0", "3e0", "+3"])
def test_a_whole_number_may_be_written_as_a_number(broken: Callable[..., Path], value: str) -> None:
    assert check(broken(put(1, "family_size", value))) == {}


@pytest.mark.parametrize("value", ["true", "FALSE", "1", "0.0"])
def test_a_boolean_may_be_a_word_or_a_number(broken: Callable[..., Path], value: str) -> None:
    assert check(broken(put(1, "female", value))) == {}


def test_a_missing_column_is_named_with_its_rule(broken: Callable[..., Path]) -> None:
    position = NAMES.index("age")
    violations = check(broken(lambda rows: [row.pop(position) for row in rows]))
    assert set(violations) == {"missing_column"}
    assert violations["missing_column"].message == "column 'age' missing from visits.csv"


def test_an_unexpected_column_is_named(broken: Callable[..., Path]) -> None:
    violations = check(broken(lambda rows: [row.append("x") for row in rows]))
    assert violations["unexpected_column"].column == "x"


def test_a_column_named_twice_is_found(broken: Callable[..., Path]) -> None:
    violations = check(broken(lambda rows: [row.append(row[NAMES.index("age")]) for row in rows]))
    assert violations["duplicate_column"].column == "age"


def test_a_column_without_any_value_is_found(broken: Callable[..., Path]) -> None:
    violations = check(broken(put_all("age", "")))
    assert set(violations) == {"all_null"}
    assert violations["all_null"].column == "age"


def test_too_many_missing_values_are_measured_against_the_limit(visits_folder: Path) -> None:
    violations = check(visits_folder, limit=0.01)
    assert set(violations) == {"null_fraction"}
    assert "where 1.0% is allowed" in violations["null_fraction"].message
    assert violations["null_fraction"].column != "general_health", "its own limit comes first"


def test_ragged_rows_are_counted_and_do_not_shift_the_numbers_of_others(broken: Callable[..., Path]) -> None:
    def change(rows: Rows) -> None:
        rows[2].pop()
        rows[5].append("1")
        put(7, "age", "old")(rows)

    violations = check(broken(change))
    assert set(violations) == {"ragged_row", "type"}
    assert violations["ragged_row"].rows == 2
    assert "row 2 of visits.csv has 18 instead of 19" in violations["ragged_row"].message
    assert "row 5 of visits.csv has 20" in violations["ragged_row"].message
    assert "(row 7 of visits.csv)" in violations["type"].message


def test_a_header_without_rows_is_refused(broken: Callable[..., Path]) -> None:
    assert set(check(broken(lambda rows: rows.__delitem__(slice(1, None))))) == {"no_rows"}


def test_too_few_rows_are_refused(broken: Callable[..., Path]) -> None:
    violations = check(broken(lambda rows: rows.__delitem__(slice(51, None))))
    assert "there are 50 rows; at least 100 are required" in violations["minimum_rows"].message


def test_a_target_of_one_class_is_refused(broken: Callable[..., Path]) -> None:
    assert "every row has the value 1" in check(broken(put_all("visited", "1")))["one_class"].message


def test_a_repeated_key_is_named(broken: Callable[..., Path]) -> None:
    violations = check(broken(lambda rows: rows.append(rows[1])))
    assert set(violations) == {"duplicate_key"}
    assert violations["duplicate_key"].rows == 1
    assert "person 1 and year 1" in violations["duplicate_key"].message


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("visits.csv", b"", "file_empty"),
        ("visits.csv", b"\n\n", "file_empty"),
        ("visits.csv", b"person,year\n\xff\xfe,1\n", "file_encoding"),
        ("visits.csv", b"p\xe9rson,year\n1,1\n", "file_encoding"),
        ("visits.csv.gz", b"not gzip", "file_unreadable"),
        ("visits.parquet", b"not parquet", "file_unreadable"),
        ("visits.xlsx", b"PK", "file_type"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, rule: str) -> None:
    (tmp_path / name).write_bytes(content)
    violations = check(tmp_path)
    assert set(violations) == {rule}
    assert name in violations[rule].message


def test_a_truncated_archive_is_found(visits_folder: Path, tmp_path: Path) -> None:
    whole = gzip.compress((visits_folder / "visits.csv").read_bytes())
    (tmp_path / "visits.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert set(check(tmp_path)) == {"file_unreadable"}


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_a_folder_without_files_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    assert set(check(tmp_path / folder)) == {"file_missing"}


def test_a_parquet_column_of_another_type_is_found(visits: Any, tmp_path: Path) -> None:
    position = NAMES.index("age")
    texts = visits.set_column(position, "age", pa.array(["x"] * visits.num_rows))
    parquet.write_table(texts, tmp_path / "visits.parquet")
    violations = check(tmp_path)
    assert violations["type"].rows == visits.num_rows


def test_everything_wrong_is_reported_in_one_go(broken: Callable[..., Path], tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        put(1, "age", "old")(rows)
        put(2, "site", "nowhere")(rows)
        put(3, "income", "-5")(rows)
        rows.append(rows[9])

    data, failure = broken(change), tmp_path / "out" / "failure"
    arguments = ["--data", str(data / "visits.csv"), "--report", str(tmp_path / "out"), "--data-version", "v7"]
    assert validate.main([*arguments, "--max-null-fraction", "0.2", "--failure-file", str(failure)]) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["data_version"] == "v7"
    assert {entry["rule"] for entry in report["violations"]} == {"type", "category", "minimum", "duplicate_key"}
    assert failure.read_text().startswith("the data violates 4 rules")
    assert "column 'age'" in failure.read_text()


@pytest.mark.parametrize(("unknown", "stands"), [("missing", None), ("other", "other")])
def test_a_new_category_is_counted_and_taken_as_the_schema_says(
    broken: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    unknown: Any,
    stands: str | None,
) -> None:
    site = SCHEMA.column("site")
    tolerant = replace(site, nullable=True, categories=(*site.categories, "other"), unknown=unknown)
    schema = replace(SCHEMA, columns=tuple(tolerant if each == site else each for each in SCHEMA.columns))
    data = broken(lambda rows: [put(2, "site", "nowhere")(rows), put(5, "site", "elsewhere")(rows)])
    monkeypatch.setattr("modelkit.owner.load", lambda _, name: schema if name == "SCHEMA" else {})
    arguments = ["--data", str(data / "visits.csv"), "--report", str(tmp_path), "--data-version", "v7"]
    assert validate.main([*arguments, "--max-null-fraction", "0.2"]) == 0
    said = f"column 'site': not {tolerant.expected}, taken as {unknown}, in 2 rows, for example 'nowhere' (row 2"
    assert said in capsys.readouterr().out
    (reported,) = json.loads((tmp_path / "report.json").read_text())["unknown"]
    assert (reported["column"], reported["rows"]) == ("site", 2)
    values = dataset.read_typed(data / "visits.csv", schema)["site"].to_pylist()
    assert [values[row - 1] for row in (2, 5)] == [stands, stands]
    assert values[0] == rows_of(data)[1][NAMES.index("site")]


def test_a_bad_argument_reaches_the_failure_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failure = tmp_path / "failure"
    assert validate.main(["--failure-file", str(failure), "--max-null-fraction", "lots"]) == 1
    assert "--max-null-fraction" in failure.read_text()
    assert "Traceback" not in capsys.readouterr().err


def test_bias_is_measured_by_hand() -> None:
    facet = pa.array([1, 1, 1, 0, 0, 0, 0, None])
    label = pa.array([True, False, False, True, True, True, False, True])
    measured = bias.measure(facet, 1, label)
    assert measured is not None
    assert measured.class_imbalance == pytest.approx((4 - 3) / 7)
    assert measured.label_difference == pytest.approx(3 / 4 - 1 / 3)
    assert measured.rows == 7


def test_bias_without_one_of_the_groups_has_no_label_difference() -> None:
    measured = bias.measure(pa.array([1, 1]), 1, pa.array([True, False]))
    assert measured is not None
    assert (measured.class_imbalance, measured.label_difference) == (-1, None)
    assert bias.measure(pa.array([None], pa.int64()), 1, pa.array([True])) is None


def test_biased_data_breaks_the_limit(tmp_path: Path) -> None:
    synthetic.write(synthetic.generate(SCHEMA, 2_000, seed=3, bias=3.0), tmp_path / "visits.parquet")
    violations = check(tmp_path)
    assert set(violations) == {"label_difference"}
    assert "the limit is 0.2" in violations["label_difference"].message


def test_an_imbalanced_facet_breaks_the_limit(visits: Any, tmp_path: Path) -> None:
    assert SCHEMA.facet is not None
    strict = replace(SCHEMA, facet=replace(SCHEMA.facet, max_class_imbalance=0.0))
    synthetic.write(visits, tmp_path / "visits.parquet")
    rules = {violation.rule for violation in validate.validate(tmp_path, strict, 0.2).violations}
    assert "class_imbalance" in rules
