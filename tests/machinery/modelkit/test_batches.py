"""Reading pairs of files of batch transform jobs."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlops.base.capture import SMOKE
from model.schema import SCHEMA
from modelkit import batches, records, synthetic
from modelkit.batches import BATCHES_FILE, Batches
from modelkit.captured import Captured, table_schema
from modelkit.intervals import Interval
from modelkit.job import JobError
from tests.machinery.modelkit.test_captured import CSV, LINES, Found, answer, as_csv

TIME = "2026-01-31T23:30:00Z"
ROWS = 40


@pytest.fixture(scope="module")
def rows() -> Any:
    return synthetic.generate(SCHEMA, ROWS, seed=3, null_fraction=0.2).select(list(SCHEMA.feature_names))


def write(folder: Path, **files: tuple[str | None, str | None]) -> Path:
    """Write inputs, their outputs, and the list of them."""
    pairs = []
    for name, pair in files.items():
        names = (f"visits/batch/{name}", f"batch/production/0123/{name}.out")
        for root, path, content in zip(("input", "output"), names, pair, strict=True):
            if content is not None:
                (folder / root / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / root / path).write_text(content, newline="")
        pairs.append({"input": names[0], "output": names[1], "time": TIME})
    (folder / BATCHES_FILE).write_text(json.dumps({"pairs": pairs, "unreadable": []}))
    return folder


def read(folder: Path) -> Found:
    captured = Captured(Interval.from_document({"start": None, "end": "2999-01-01T00:00:00Z"}), None, SMOKE)
    listed = Batches.listed(folder / BATCHES_FILE, folder / "input", folder / "output")
    found = list(listed.read(SCHEMA, captured))
    assert all(batch.answers is None for batch in found)
    tables = [table_schema(SCHEMA).empty_table(), *(batch.rows for batch in found)]
    return Found(pa.concat_tables(tables), [each for batch in found for each in batch.predictions], captured)


def as_lines(table: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in table.to_pylist())


def inputs(table: Any) -> dict[str, str]:
    """The same rows in every form that an object may have."""
    header, lines = as_csv(table, header=True), as_lines(table)
    return {
        "CSV": as_csv(table, header=False),
        "CSV with a header": header,
        "CSV of Windows": "\ufeff" + header.replace("\n", "\r\n"),
        "CSV without the last newline": header.rstrip("\n"),
        "JSON Lines": lines,
        "JSON Lines with a byte order mark": "\ufeff" + lines,
    }


@pytest.mark.parametrize("form", inputs(synthetic.generate(SCHEMA, 1, seed=0).select(list(SCHEMA.feature_names))))
@pytest.mark.parametrize("answer_type", [CSV, LINES])
@pytest.mark.parametrize("block", [records.BLOCK, 100])
def test_rows_arrive_typed_with_their_predictions(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, answer_type: str, block: int
) -> None:
    monkeypatch.setattr(batches, "blocks", lambda path: records.blocks(path, block))
    found = read(write(tmp_path, a=(inputs(rows)[form], answer(ROWS, answer_type))))
    assert found.table.to_pylist() == rows.to_pylist()
    assert found.predictions == [round(0.01 * number, 2) for number in range(ROWS)]
    captured = found.captured
    assert (captured.records, captured.damaged, captured.invalid) == (1, 0, {})
    assert (captured.first, captured.last) == ("2026-01-31T23:30:00", "2026-01-31T23:30:00")


def test_empty_files_are_a_record_without_rows(tmp_path: Path) -> None:
    found = read(write(tmp_path, a=("", "")))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (0, 1, 0)


def test_another_number_of_predictions_than_of_rows_leaves_out_the_pair_only(rows: Any, tmp_path: Path) -> None:
    body = as_csv(rows, header=True)
    found = read(write(tmp_path, a=(body, answer(ROWS + 1, CSV)), b=(body, answer(ROWS, CSV))))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (ROWS, 1, 1)
    assert found.captured.damaged_at == ["visits/batch/a: 40 rows and 41 predictions"]


def test_a_file_that_is_missing_is_damaged(rows: Any, tmp_path: Path) -> None:
    found = read(write(tmp_path, a=(as_csv(rows, header=False), None), b=(None, answer(ROWS, CSV))))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (0, 0, 2)


@pytest.mark.parametrize(("bad", "at"), [("not json", 3), ("{}", 3), ("[1, 2]", 3)])
def test_a_damaged_line_is_left_out_with_its_prediction(rows: Any, tmp_path: Path, bad: str, at: int) -> None:
    lines = as_lines(rows).splitlines(keepends=True)
    lines[at - 1] = f"{bad}\n"
    found = read(write(tmp_path, a=("".join(lines), answer(ROWS, LINES))))
    assert (found.table.num_rows, len(found.predictions)) == (ROWS - 1, ROWS - 1)
    assert 0.02 not in found.predictions
    assert found.captured.damaged_at == [f"visits/batch/a:{at}"]


def test_a_prediction_that_is_no_number_is_left_out_with_its_row(rows: Any, tmp_path: Path) -> None:
    answers = answer(ROWS, CSV).replace("0.02\n", "nan\n", 1)
    found = read(write(tmp_path, a=(as_csv(rows, header=True), answers)))
    assert (found.table.num_rows, found.captured.damaged_at) == (ROWS - 1, ["visits/batch/a:4"])


def test_what_could_not_be_paired_is_damaged_and_named(tmp_path: Path) -> None:
    (tmp_path / BATCHES_FILE).write_text(json.dumps({"pairs": [], "unreadable": ["s3://data/a.csv: it has no output"]}))
    captured = read(tmp_path).captured
    assert (captured.damaged, captured.damaged_at) == (1, ["s3://data/a.csv: it has no output"])


def test_a_version_without_batch_predictions_has_none(tmp_path: Path) -> None:
    assert read(tmp_path).captured.records == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pairs": [{}], "unreadable": []}'])
def test_a_damaged_list_fails_the_job(tmp_path: Path, content: str) -> None:
    (tmp_path / BATCHES_FILE).write_text(content)
    with pytest.raises(JobError, match="list of batch predictions"):
        read(tmp_path)
