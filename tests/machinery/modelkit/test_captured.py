"""Reading captured requests and answers."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlops.base.capture import SMOKE, Encoder
from model.schema import SCHEMA
from modelkit import synthetic
from modelkit.captured import Captured, table_schema
from modelkit.intervals import Interval

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
HOUR = "2026/01/31/23"


@pytest.fixture(scope="module")
def rows() -> Any:
    return synthetic.generate(SCHEMA, 40, seed=3, null_fraction=0.2).select(list(SCHEMA.feature_names))


def as_csv(table: Any, *, header: bool) -> str:
    lines = [",".join(SCHEMA.feature_names)] if header else []
    return "\n".join([*lines, *(",".join(map(text, row.values())) for row in table.to_pylist())]) + "\n"


def text(value: Any) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def bodies(table: Any) -> dict[str, tuple[str, str]]:
    """The same rows in every form that a request may have."""
    records = table.to_pylist()
    return {
        "CSV": (CSV, as_csv(table, header=False)),
        "CSV with a header": (CSV, as_csv(table, header=True)),
        "JSON objects": (JSON, json.dumps({"instances": records})),
        "JSON rows": (JSON, json.dumps([list(record.values()) for record in records])),
        "JSON of built-in algorithms": (
            JSON,
            json.dumps({"instances": [{"features": list(record.values())} for record in records]}),
        ),
        "JSON Lines": (LINES, "\n".join(map(json.dumps, records)) + "\n"),
    }


def answer(count: int, content_type: str) -> str:
    values = [round(0.01 * number, 2) for number in range(count)]
    if content_type == CSV:
        return "".join(f"{value}\n" for value in values)
    if content_type == LINES:
        return "".join(json.dumps({"prediction": value}) + "\n" for value in values)
    return json.dumps({"predictions": values})


def write(folder: Path, *lines: bytes, hour: str = HOUR, name: str = "59-58-001-a") -> Path:
    path = folder / "endpoint/AllTraffic" / hour / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    return folder


def record(content_type: str, body: str, answers: str, answer_type: str = CSV, at: str = "") -> bytes:
    line = Encoder(content_type, answer_type).record(body.encode(), answers.encode(), "request-1")
    if not at:
        return line
    document = json.loads(line)
    document["eventMetadata"]["inferenceTime"] = at
    return json.dumps(document).encode() + b"\n"


@dataclass(frozen=True)
class Found:
    """All batches of a folder together."""

    table: Any
    predictions: list[float]
    captured: Captured


def read(folder: Path, start: str | None = None, end: str = "2999-01-01T00:00:00Z") -> Found:
    captured = Captured(Interval.from_document({"start": start, "end": end}), None, SMOKE)
    batches = list(captured.read(folder, SCHEMA))
    tables = [table_schema(SCHEMA).empty_table(), *(batch.rows for batch in batches)]
    return Found(pa.concat_tables(tables), [each for batch in batches for each in batch.predictions], captured)


def test_a_row_without_a_list_arrives(rows: Any, tmp_path: Path) -> None:
    row = rows.slice(0, 1)
    found = read(write(tmp_path, record(JSON, json.dumps(row.to_pylist()[0]), answer(1, CSV))))
    assert found.table.to_pylist() == row.to_pylist()


@pytest.mark.parametrize("form", bodies(synthetic.generate(SCHEMA, 1, seed=0).select(list(SCHEMA.feature_names))))
@pytest.mark.parametrize("answer_type", [CSV, JSON, LINES])
def test_rows_arrive_typed_whatever_they_were_written_in(
    rows: Any, tmp_path: Path, form: str, answer_type: str
) -> None:
    content_type, body = bodies(rows)[form]
    line = record(content_type, body, answer(rows.num_rows, answer_type), answer_type)
    found = read(write(tmp_path, line, line))
    assert found.table.slice(0, rows.num_rows).to_pylist() == rows.to_pylist()
    assert found.table.num_rows == 2 * rows.num_rows
    assert found.predictions[1:3] == [0.01, 0.02]
    assert (found.captured.records, found.captured.torn, found.captured.damaged, found.captured.invalid) == (
        2,
        0,
        0,
        {},
    )


def test_data_in_base64_is_read_too(rows: Any, tmp_path: Path) -> None:
    document = json.loads(record(CSV, as_csv(rows, header=False), answer(rows.num_rows, CSV)))
    part = document["captureData"]["endpointInput"]
    part["data"], part["encoding"] = base64.b64encode(part["data"].encode()).decode(), "BASE64"
    assert read(write(tmp_path, json.dumps(document).encode() + b"\n")).table.num_rows == rows.num_rows


def test_requests_of_smoke_are_left_out_and_counted(rows: Any, tmp_path: Path) -> None:
    body, answers = as_csv(rows, header=False), answer(rows.num_rows, CSV)
    names = ["", "request-1", f"{SMOKE}1", f"{SMOKE}2", f"my-{SMOKE}3"]
    lines = [Encoder(CSV, CSV).record(body.encode(), answers.encode(), name) for name in names]
    found = read(write(tmp_path, *lines))
    assert (found.captured.records, found.captured.smoke, found.captured.damaged) == (3, 2, 0)
    assert found.table.num_rows == len(found.predictions) == 3 * rows.num_rows
    only = read(write(tmp_path / "only", lines[2]))
    assert (only.captured.records, only.captured.smoke, only.captured.first, only.table.num_rows) == (0, 1, "", 0)


def test_a_torn_last_line_is_skipped_and_counted(rows: Any, tmp_path: Path) -> None:
    line = record(CSV, as_csv(rows, header=False), answer(rows.num_rows, CSV))
    found = read(write(tmp_path, line, line[: len(line) // 2]))
    assert (found.captured.records, found.captured.torn, found.captured.damaged) == (1, 1, 0)


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b"{}\n",
        b"\xff\xfe\n",
        record(CSV, "1,2,3\n", "0.5\n"),
        record(CSV, "", "0.5\n"),
        record(CSV, "age,income\n7,8\n", "0.5\n"),
        record(JSON, '{"instances": 7}', "0.5\n"),
        record(JSON, '{"instances": [{"age": 7}]}', "0.5\n"),
        record("image/png", "png", "0.5\n"),
    ],
)
def test_a_record_that_cannot_be_read_is_left_out_and_counted(rows: Any, tmp_path: Path, bad: bytes) -> None:
    line = record(CSV, as_csv(rows, header=False), answer(rows.num_rows, CSV))
    found = read(write(tmp_path, line, bad, line))
    assert (found.captured.records, found.captured.torn, found.captured.damaged) == (2, 0, 1)


def test_a_record_without_an_answer_for_each_row_is_left_out(rows: Any, tmp_path: Path) -> None:
    line = record(CSV, as_csv(rows, header=False), answer(rows.num_rows - 1, CSV))
    assert read(write(tmp_path, line)).captured.damaged == 1


def test_a_window_holds_what_was_answered_from_its_begin_on_and_before_its_end(rows: Any, tmp_path: Path) -> None:
    one = as_csv(rows.slice(0, 1), header=False)
    times = ["2026-01-31T23:59:58Z", "2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-02-01T00:00:01Z"]
    write(tmp_path, *(record(CSV, one, "0.5\n", at=time) for time in times[:2]))
    # flushed in the hour after it was answered, as the last record of an hour may be
    write(
        tmp_path, *(record(CSV, one, "0.5\n", at=time) for time in times[1:]), hour="2026/02/01/00", name="00-00-000-b"
    )
    found = read(tmp_path, "2026-01-31T23:59:59Z", "2026-02-01T00:00:01Z")
    assert (found.captured.records, found.captured.first, found.captured.last) == (
        3,
        times[1].rstrip("Z"),
        times[2].rstrip("Z"),
    )
    assert read(tmp_path, "2026-02-01T00:00:02Z").table.num_rows == 0


def test_an_object_of_the_hour_before_may_hold_records_of_a_window_and_earlier_ones_are_not_read(
    rows: Any, tmp_path: Path
) -> None:
    one = as_csv(rows.slice(0, 1), header=False)
    times = ["2026-01-31T23:59:59Z", "2026-02-01T00:00:10Z"]
    write(tmp_path, *(record(CSV, one, "0.5\n", at=time) for time in times))
    write(tmp_path, b"no\n", hour="2026/01/31/22")
    found = read(tmp_path, "2026-02-01T00:00:05Z")
    counts = found.captured
    assert (counts.records, counts.first, counts.damaged) == (1, times[1].rstrip("Z"), 0)


def test_values_of_another_type_are_counted_by_column(rows: Any, tmp_path: Path) -> None:
    values = list(rows.slice(0, 1).to_pylist()[0].values())
    values[SCHEMA.feature_names.index("age")] = "old"
    found = read(write(tmp_path, record(JSON, json.dumps([values]), "0.5\n")))
    assert found.captured.invalid == {"age": 1}
    assert found.table["age"].null_count == 1


def test_nothing_captured_is_an_empty_table(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.table.num_rows, found.captured.records, found.captured.first) == (0, 0, "")
    assert found.table.column_names == list(SCHEMA.feature_names)


def test_a_damaged_record_is_named_by_its_file_and_line(rows: Any, tmp_path: Path) -> None:
    line = record(CSV, as_csv(rows, header=False), answer(rows.num_rows, CSV))
    found = read(write(tmp_path, line, b"no\n", line, record(CSV, "1,2\n", "0.5\n"), line))
    assert [Path(place).name for place in found.captured.damaged_at] == ["59-58-001-a.jsonl:2", "59-58-001-a.jsonl:4"]
    assert found.captured.records == 3


def test_an_answer_that_is_no_number_is_damaged(rows: Any, tmp_path: Path) -> None:
    one = as_csv(rows.slice(0, 1), header=False)
    found = read(write(tmp_path, *(record(CSV, one, f"{value}\n") for value in ("yes", "nan", "inf", "0.5"))))
    assert (found.predictions, found.captured.damaged) == ([0.5], 3)


def test_requests_of_many_forms_in_one_file_keep_their_rows(rows: Any, tmp_path: Path) -> None:
    count = rows.num_rows
    more = rows.append_column("id", pa.array(range(count)))
    lines = [record(kind, body, answer(count, CSV)) for kind, body in bodies(rows).values()]
    for other in (rows.select(rows.column_names[::-1]), more):
        body = ",".join(other.column_names) + "\n" + as_csv(other, header=False)
        lines.append(record(CSV, body, answer(count, CSV)))
    lines.append(record(JSON, json.dumps(more.to_pylist()), answer(count, CSV)))
    found = read(write(tmp_path, *lines, *lines))
    assert (found.captured.records, found.captured.damaged) == (2 * len(lines), 0)
    assert (
        found.table.sort_by("income").to_pylist()
        == pa.concat_tables([rows] * 2 * len(lines)).sort_by("income").to_pylist()
    )
