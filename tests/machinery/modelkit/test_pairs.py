"""Reading pairs of files of batch transform jobs and asynchronous endpoints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops.base.capture import SMOKE
from model.schema import SCHEMA
from modelkit import pairs, records, synthetic
from modelkit.captured import Batch, Captured, table_schema
from modelkit.intervals import Interval
from modelkit.job import JobError
from modelkit.pairs import PAIRS_FILE, Pairs
from tests.machinery.modelkit.test_captured import CSV, JSON, LINES, Found, answer, as_csv, bodies

TIME = "2026-01-31T23:30:00Z"
ROWS = 40
ENTRY = {"beside_output": False, "time": TIME, "input_type": "", "output_type": ""}


@pytest.fixture(scope="module")
def rows() -> Any:
    return synthetic.generate(SCHEMA, ROWS, seed=3, null_fraction=0.2).select(list(SCHEMA.feature_names))


def write(folder: Path, files: dict[str, tuple[str | None, str | None]], **entry: Any) -> Path:
    """Write inputs, their outputs, and the list of them, with what all entries have."""
    listed = []
    for name, pair in files.items():
        names = (f"visits/batch/{name}", f"batch/production/0123/{name}.out")
        for root, path, content in zip(("input", "output"), names, pair, strict=True):
            if content is not None:
                (folder / root / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / root / path).write_text(content, newline="")
        listed.append({"input": names[0], "output": names[1], **ENTRY, "id": name, **entry})
    (folder / PAIRS_FILE).write_text(json.dumps({"pairs": listed, "unreadable": []}))
    return folder


def intervals(window_end: str = "2999-01-01T00:00:00Z", labels: bool = False) -> Captured:
    """All time before an end, and for labels all time or none."""
    window, always = (Interval.from_document({"start": None, "end": end}) for end in (window_end, "2999-01-01"))
    return Captured(window, always if labels else None, SMOKE)


def batches(folder: Path, captured: Captured) -> list[Batch]:
    return list(Pairs.listed(folder / PAIRS_FILE, folder / "input", folder / "output").read(SCHEMA, captured))


def read(folder: Path) -> Found:
    captured = intervals()
    found = batches(folder, captured)
    assert all(batch.answers is None for batch in found)
    tables = [table_schema(SCHEMA).empty_table(), *(batch.rows for batch in found)]
    return Found(pa.concat_tables(tables), [each for batch in found for each in batch.predictions], captured)


def answers(folder: Path, captured: Captured) -> list[tuple[str | None, list[float]]]:
    """The ids and predictions that labels are joined to."""
    found = [batch.answers for batch in batches(folder, captured) if batch.answers]
    assert all(each.counts.tolist() == [len(each.predictions)] for each in found)
    return [(each.ids[0], each.predictions.tolist()) for each in found]


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
    monkeypatch.setattr(pairs, "blocks", lambda path: records.blocks(path, block))
    found = read(write(tmp_path, {"a": (inputs(rows)[form], answer(ROWS, answer_type))}))
    assert found.table.to_pylist() == rows.to_pylist()
    assert found.predictions == [round(0.01 * number, 2) for number in range(ROWS)]
    captured = found.captured
    assert (captured.records, captured.damaged, captured.invalid) == (1, 0, {})
    assert (captured.first, captured.last) == ("2026-01-31T23:30:00", "2026-01-31T23:30:00")


def test_empty_files_are_a_record_without_rows(tmp_path: Path) -> None:
    found = read(write(tmp_path, {"a": ("", "")}))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (0, 1, 0)


def test_another_number_of_predictions_than_of_rows_leaves_out_the_pair_only(rows: Any, tmp_path: Path) -> None:
    body = as_csv(rows, header=True)
    found = read(write(tmp_path, {"a": (body, answer(ROWS + 1, CSV)), "b": (body, answer(ROWS, CSV))}))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (ROWS, 1, 1)
    assert found.captured.damaged_at == ["visits/batch/a: 40 rows and 41 predictions"]


def test_a_file_that_is_missing_is_damaged(rows: Any, tmp_path: Path) -> None:
    found = read(write(tmp_path, {"a": (as_csv(rows, header=False), None), "b": (None, answer(ROWS, CSV))}))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (0, 0, 2)


@pytest.mark.parametrize(("bad", "at"), [("not json", 3), ("{}", 3), ("[1, 2]", 3)])
def test_a_damaged_line_is_left_out_with_its_prediction(rows: Any, tmp_path: Path, bad: str, at: int) -> None:
    lines = as_lines(rows).splitlines(keepends=True)
    lines[at - 1] = f"{bad}\n"
    found = read(write(tmp_path, {"a": ("".join(lines), answer(ROWS, LINES))}))
    assert (found.table.num_rows, len(found.predictions)) == (ROWS - 1, ROWS - 1)
    assert 0.02 not in found.predictions
    assert found.captured.damaged_at == [f"visits/batch/a:{at}"]


def test_a_prediction_that_is_no_number_is_left_out_with_its_row(rows: Any, tmp_path: Path) -> None:
    answers = answer(ROWS, CSV).replace("0.02\n", "nan\n", 1)
    found = read(write(tmp_path, {"a": (as_csv(rows, header=True), answers)}))
    assert (found.table.num_rows, found.captured.damaged_at) == (ROWS - 1, ["visits/batch/a:4"])


def test_what_could_not_be_paired_is_damaged_and_named(tmp_path: Path) -> None:
    (tmp_path / PAIRS_FILE).write_text(json.dumps({"pairs": [], "unreadable": ["s3://data/a.csv: it has no output"]}))
    captured = read(tmp_path).captured
    assert (captured.damaged, captured.damaged_at) == (1, ["s3://data/a.csv: it has no output"])


def test_a_version_without_batch_predictions_has_none(tmp_path: Path) -> None:
    assert read(tmp_path).captured.records == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pairs": [{}], "unreadable": []}'])
def test_a_damaged_list_fails_the_job(tmp_path: Path, content: str) -> None:
    (tmp_path / PAIRS_FILE).write_text(content)
    with pytest.raises(JobError, match="list of predictions"):
        read(tmp_path)


@pytest.mark.parametrize(("asked_type", "answer_type"), [(JSON, JSON), (CSV, JSON), (JSON, CSV), (JSON, LINES)])
@pytest.mark.parametrize("charset", ["", "; charset=UTF-8"])
def test_json_documents_are_read_whole(
    rows: Any, tmp_path: Path, asked_type: str, answer_type: str, charset: str
) -> None:
    forms = {name: body for name, body in bodies(rows).items() if body[0] == asked_type}
    assert forms
    for _, body in forms.values():
        types = {"input_type": asked_type + charset, "output_type": answer_type.upper()}
        found = read(write(tmp_path, {"a": (body, answer(ROWS, answer_type))}, **types))
        assert found.table.to_pylist() == rows.to_pylist()
        assert found.predictions == [round(0.01 * number, 2) for number in range(ROWS)]
        assert (found.captured.records, found.captured.damaged) == (1, 0)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "Expecting"),
        ("[[1]]", "1 values"),
        ("[" * 100_000, ""),
        (json.dumps([{}]), SCHEMA.feature_names[0]),
        ("[]", "0 rows and 40 predictions"),
        (" " * 2_000, "is larger than"),
    ],
    ids=["no JSON", "too few values", "nested", "no column", "no row", "too large"],
)
def test_a_document_that_cannot_be_read_leaves_out_the_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    if "larger" in said:
        monkeypatch.setattr(pairs, "LONGEST_LINE", 1_000)
    found = read(write(tmp_path, {"a": (body, answer(ROWS, CSV))}, input_type=JSON, output_type=CSV))
    assert (found.table.num_rows, found.captured.records, found.captured.damaged) == (0, 0, 1)
    assert said in found.captured.damaged_at[0]


def test_an_input_may_be_beside_its_output(rows: Any, tmp_path: Path) -> None:
    write(tmp_path, {"a": (as_csv(rows, header=True), answer(ROWS, CSV))}, beside_output=True)
    (tmp_path / "input").rename(tmp_path / "elsewhere")
    assert read(tmp_path).captured.damaged == 1
    (tmp_path / "elsewhere/visits").rename(tmp_path / "output/visits")
    assert read(tmp_path).table.num_rows == ROWS


def test_answers_that_labels_are_due_for_are_joined_and_do_not_count_in_the_window(rows: Any, tmp_path: Path) -> None:
    body, values = as_csv(rows, header=True), [round(0.01 * number, 2) for number in range(ROWS)]
    write(tmp_path, {"a": (body, answer(ROWS, CSV)), "b": (body, answer(ROWS + 1, CSV))})
    captured = intervals("2026-01-01", labels=True)
    assert answers(tmp_path, captured) == [("a", values)]
    assert (captured.records, captured.damaged, captured.invalid, captured.first) == (0, 0, {}, "")
    captured = intervals(labels=True)
    assert answers(tmp_path, captured) == [("a", values)]
    assert (captured.records, captured.damaged) == (1, 1)


@pytest.mark.parametrize("block", [records.BLOCK, 100])
def test_labels_stay_beside_their_rows_where_a_line_cannot_be_read(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(pairs, "blocks", lambda path: records.blocks(path, block))
    lines = as_lines(rows).splitlines(keepends=True)
    for at in (0, 17, ROWS - 1):
        lines[at] = "damaged\n"
    write(tmp_path, {"a": ("".join(lines), answer(ROWS, LINES))})
    [(_, found)] = answers(tmp_path, intervals(labels=True))
    assert np.flatnonzero(np.isnan(found)).tolist() == [0, 17, ROWS - 1]
    assert (found[1], found[18]) == (0.01, 0.18)


def test_requests_of_a_test_are_counted_and_not_read(rows: Any, tmp_path: Path) -> None:
    write(tmp_path, {"a": (as_csv(rows, header=True), answer(ROWS, CSV))}, id=f"{SMOKE}1")
    found = read(tmp_path)
    assert (found.table.num_rows, found.captured.records, found.captured.smoke) == (0, 0, 1)


def test_small_files_are_decoded_many_at_a_time_and_those_that_cannot_be_read_one_by_one(
    rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_MOST", 20)
    body = (as_csv(rows, header=True), answer(ROWS, CSV))
    files: dict[str, tuple[str | None, str | None]] = {f"{number:02}": body for number in range(50)}
    files |= {
        "07": (body[0], None),
        "31": (body[0], answer(ROWS - 1, CSV)),
        "44": (as_lines(rows), answer(ROWS, LINES)),
    }
    captured = intervals(labels=True)
    found = batches(write(tmp_path, files), captured)
    assert sum(batch.rows.num_rows for batch in found) == 48 * ROWS
    assert len(found) < 30
    ids = [one for batch in found if batch.answers for one in batch.answers.ids]
    assert sorted(str(one) for one in ids) == sorted(files.keys() - {"07", "31"})
    assert (captured.records, captured.damaged) == (48, 2)
    assert [place.partition(":")[0] for place in captured.damaged_at] == ["visits/batch/07", "visits/batch/31"]


def test_large_files_are_read_in_blocks(rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_SMALL", 100)
    monkeypatch.setattr(pairs, "blocks", lambda path: records.blocks(path, 100))
    body = (as_csv(rows, header=True), answer(ROWS, CSV))
    found = read(write(tmp_path, {"a": body, "b": ("", ""), "c": body}))
    assert found.table.to_pylist() == 2 * rows.to_pylist()
    assert (found.captured.records, found.captured.damaged) == (3, 0)
