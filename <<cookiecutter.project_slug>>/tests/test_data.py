"""The data and its schema: what validation finds, and how the rows are split."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from mlops.monitor import baseline
from mlops.project.project import Project
from model import preprocess, synthetic
from model.schema import SCHEMA
from model.validate import validate

ROOT = Path(__file__).parent.parent
NAMES = SCHEMA.names
TARGET = SCHEMA.target
Table = list[list[str]]  # the header, then the rows
Change = Callable[[Table], Any]
Broken = set[tuple[str | None, str]]  # a column and the rule it breaks


def put(column: str, value: str) -> Change:
    return lambda table: table[1].__setitem__(NAMES.index(column), value)


def put_everywhere(column: str, value: str) -> Change:
    return lambda table: [row.__setitem__(NAMES.index(column), value) for row in table[1:]]


def drop(column: str) -> Change:
    return lambda table: [row.pop(NAMES.index(column)) for row in table]


def repeat(column: str) -> Change:
    return lambda table: table.__setitem__(slice(None), [[*row, row[NAMES.index(column)]] for row in table])


def add_unknown_column(table: Table) -> None:
    table[:] = [[*row, "unknown"] for row in table]


def add_row_again(table: Table) -> None:
    table.append(table[1])


BAD_VALUES = [
    *[(column.name, "?", "type") for column in SCHEMA.columns if column.type != "string"],
    *[(column.name, "?", "category") for column in SCHEMA.columns if column.categories],
    *[(column.name, str(column.minimum - 1), "minimum") for column in SCHEMA.columns if column.minimum is not None],
    *[(column.name, str(column.maximum + 1), "maximum") for column in SCHEMA.columns if column.maximum is not None],
    *[(column.name, "", "null") for column in SCHEMA.columns if not column.nullable],
]
BAD_TABLES: list[tuple[Change, str | None, str]] = [
    *[(drop(name), name, "missing_column") for name in NAMES],
    (repeat(TARGET), TARGET, "duplicate_column"),
    (add_unknown_column, "unknown", "unexpected_column"),
    (lambda table: table[1].pop(), None, "ragged_row"),
    (lambda table: table.__delitem__(slice(1, None)), None, "no_rows"),
    (put_everywhere(TARGET, ""), TARGET, "all_null"),
    (put_everywhere(TARGET, "1"), TARGET, "one_class"),
    *([(add_row_again, None, "duplicate_key")] if SCHEMA.key else []),
]


def broken_by(path: Path) -> Broken:
    return {(violation.column, violation.rule) for violation in validate(path, SCHEMA, 0.5).violations}


@pytest.fixture(scope="module")
def sound(rows: Any) -> Table:
    as_text = [["" if value is None else str(value) for value in row.values()] for row in rows.to_pylist()]
    return [list(NAMES), *as_text]


@pytest.fixture(scope="module")
def broken_from_the_start(sound: Table, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    """Made rows follow each column's rules, but limits on bias or on the number of rows may be too tight for them."""
    return broken_by(write(sound, tmp_path_factory.mktemp("sound")))


def write(table: Table, folder: Path) -> Path:
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table)
    return folder


def change(sound: Table, how: Change, folder: Path) -> Path:
    table = [row.copy() for row in sound]
    how(table)
    return write(table, folder)


def groups(folder: Path, split: str) -> set[Any]:
    return set(parquet.read_table(folder / split)[SCHEMA.group].to_pylist())


def test_the_project_s_own_data_follows_the_schema() -> None:
    environment = Project(ROOT).environment("local")
    validation = validate(ROOT / environment["data_folder"], SCHEMA, environment["validation.max_null_fraction"])
    assert [violation.message for violation in validation.violations] == []
    assert validation.rows > 0


@pytest.mark.parametrize(("column", "value", "rule"), BAD_VALUES)
def test_a_bad_value_is_named_with_column_and_rule(
    sound: Table, broken_from_the_start: Broken, tmp_path: Path, column: str, value: str, rule: str
) -> None:
    found = broken_by(change(sound, put(column, value), tmp_path))
    assert found - broken_from_the_start == {(column, rule)}


@pytest.mark.parametrize(("how", "column", "rule"), BAD_TABLES, ids=[f"{rule}-{name}" for _, name, rule in BAD_TABLES])
def test_a_bad_table_is_named_with_its_rule(
    sound: Table, broken_from_the_start: Broken, tmp_path: Path, how: Change, column: str | None, rule: str
) -> None:
    found = broken_by(change(sound, how, tmp_path))
    assert (column, rule) in found - broken_from_the_start


def test_every_row_goes_to_one_split_and_no_group_to_two(splits: Path, rows: Any) -> None:
    found = [groups(splits, split) for split in preprocess.SPLITS]
    everyone = set(rows[SCHEMA.group].to_pylist())
    assert set.union(*found) == everyone
    assert sum(map(len, found)) == len(everyone)
    assert sum(parquet.read_table(splits / split).num_rows for split in preprocess.SPLITS) == rows.num_rows


def test_instances_with_a_share_of_the_files_make_the_same_split(splits: Path, rows: Any, tmp_path: Path) -> None:
    half = rows.num_rows // 2
    for host, share in (("algo-1", rows.slice(half)), ("algo-2", rows.slice(0, half))):
        synthetic.write(share, tmp_path / host / "part.parquet")
        paths = ["--data", str(tmp_path / host), "--output", str(tmp_path / "out")]
        assert preprocess.main([*paths, "--host", host]) == 0
    for split in preprocess.SPLITS:
        assert groups(tmp_path / "out", split) == groups(splits, split)


def test_the_baseline_describes_every_column_of_the_training_rows(splits: Path, tmp_path: Path) -> None:
    assert baseline.main(["--data", str(splits / "train"), "--output", str(tmp_path)]) == 0
    for name in ("statistics.json", "constraints.json"):
        document = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        assert [feature["name"] for feature in document["features"]] == list(NAMES)
