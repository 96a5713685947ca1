"""Predictions for whole files, with a model that is quick: it adds the numbers it is given."""

import csv
import errno
import gzip
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet
import pytest

from mlops.base.handlers import Handlers
from mlops.batch import reading
from mlops.cli.main import main
from mlops.cli.verbs import batch
from mlops.project.project import Project
from mlops.registry.versions import APPROVED, ModelVersion
from model.schema import SCHEMA
from modelkit import inference
from modelkit.schema import Notation
from tests.environments import give
from tests.projects import Bake, mlops, mlops_json

FEATURES = SCHEMA.feature_names


def total(matrix: Any, model: Any) -> Any:
    """Different for different rows, and for rows with other values missing."""
    return (np.nan_to_num(matrix, nan=0.5) * np.arange(1, matrix.shape[1] + 1)).sum(axis=1).astype(np.float32)


HANDLERS = Handlers(Path(), None, inference.input_fn, total, inference.output_fn)


class Registry:
    """One version, approved on request."""

    status = APPROVED

    def versions(self) -> list[ModelVersion]:
        return [ModelVersion(7, "arn", self.status, datetime.now(UTC), None, "", "", "", (), {})]


@pytest.fixture
def rows(default_project: Path) -> list[dict[str, str]]:
    """The first rows of the sample, as text by column."""
    text = gzip.decompress((default_project / "data/raw/visits.csv.gz").read_bytes()).decode()
    return list(csv.DictReader(io.StringIO(text)))[:300]


@pytest.fixture
def project(rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(rendering(inference="batch"), tmp_path / "project"))
    set_percentage(folder, 100)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(batch, "registry_of", lambda target: Registry())
    monkeypatch.setattr(batch, "load", lambda source, version, models: HANDLERS)
    return folder


def set_percentage(project: Path, percentage: int) -> None:
    path = project / "config/base.yaml"
    lines = path.read_text().splitlines()
    if "capture:" not in lines:
        lines += ["capture:", "  percentage: 100"]
    path.write_text("\n".join(f"  percentage: {percentage}" if "  percentage:" in line else line for line in lines))


def as_text(rows: list[dict[str, str]], columns: Any = None) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns or list(rows[0]), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def answer_to_a_request(rows: list[dict[str, str]]) -> str:
    return HANDLERS.invoke(as_text(rows, FEATURES).encode(), "text/csv", "text/csv")


def captured(project: Path) -> list[dict[str, Any]]:
    files = sorted((project / ".mlops/s3").rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def predicted(*arguments: object) -> int:
    return main(["batch", *map(str, arguments)])


def typed(text: str) -> Any:
    return arrow_csv.read_csv(io.BytesIO(text.encode()))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "csv with a byte order mark"])
def test_every_kind_of_file_gets_the_answers_of_a_request(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"visits.{kind.split()[0]}"
    text = as_text(rows)
    if kind == "parquet":
        parquet.write_table(typed(text), path)
    else:
        content = text.encode("utf-8-sig" if "mark" in kind else "utf-8")
        path.write_bytes(gzip.compress(content) if kind == "csv.gz" else content)
    assert predicted(path, "--output", tmp_path / "out") == 0
    assert (tmp_path / "out" / f"{path.name}.out").read_text() == answer_to_a_request(rows)


def test_columns_in_another_order_and_those_that_are_no_features_do_not_matter(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extended = [{"note": "a", **dict(reversed(row.items()))} for row in rows]
    assert predicted(write(tmp_path / "a.csv", as_text(extended)), "--output", tmp_path / "out") == 0
    assert (tmp_path / "out/a.csv.out").read_text() == answer_to_a_request(rows)
    assert capsys.readouterr().err == "Ignored columns that are not in the schema: note.\n"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_read_in_pieces(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(reading, "PIECE_ROWS", 16)
    path = write(tmp_path / "a.csv", as_text(rows))
    if kind == "parquet":
        path = tmp_path / "a.parquet"
        parquet.write_table(typed(as_text(rows)), path)
    file = reading.InputFile.of(path.name, path)
    assert max(piece.num_rows for piece in file.pieces(FEATURES)) == 16
    assert predicted(path, "--output", tmp_path / "out") == 0
    assert (tmp_path / f"out/{path.name}.out").read_text() == answer_to_a_request(rows)


BAD_VALUES = [
    ("age", "old", "'old' is not of type number"),
    ("family_size", "2.5", "'2.5' is not of type integer"),
    ("site", "site-9", "'site-9' is not one of site-1, site-2"),
    ("female", "", "the value is missing, and the column is not nullable"),
]


@pytest.mark.parametrize(("column", "value", "complaint"), BAD_VALUES)
def test_a_bad_value_is_named_by_file_row_and_column_and_nothing_is_left(
    project: Path,
    rows: list[dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    value: str,
    complaint: str,
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", 1024)
    write(tmp_path / "in/a.csv", as_text(rows))
    rows[200][column] = value
    rows[250]["age"] = "later"
    path = write(tmp_path / "in/b.csv", as_text(rows))
    assert predicted(tmp_path / "in", "--output", tmp_path / "out") == 2
    assert f"{path}: row 201, column '{column}': {complaint}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert captured(project) == []
    assert not list((project / ".mlops/s3").rglob("*.jsonl"))


def test_a_row_of_another_length_is_named(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = as_text(rows).splitlines()
    path = write(tmp_path / "a.csv", "\n".join([*lines[:5], "1,2,3", *lines[5:]]))
    assert predicted(path, "--output", tmp_path / "out") == 2
    assert f"{path}: row 5 has 3 values, not {len(rows[0])}." in capsys.readouterr().err


def test_missing_and_repeated_features_are_named_before_anything_is_read(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *lines = as_text(rows).splitlines()
    write(tmp_path / "in/a.csv", header.replace("age", "years").replace("income", "site") + "\n" + "\n".join(lines))
    assert predicted(tmp_path / "in", "--output", tmp_path / "out") == 2
    assert "must have these columns once: site, income, age." in capsys.readouterr().err


def damaged(name: str, content: bytes) -> Any:
    return pytest.param(name, content, id=f"{name}-{content[:6]!r}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        damaged("a.csv", b""),
        damaged("a.csv", b"\xff\xfe\x00"),
        damaged("a.csv.gz", b"no gzip"),
        damaged("a.csv.gz", gzip.compress(b"age,site\n" * 10_000, mtime=0)[:-20]),
        damaged("a.parquet", b"no parquet"),
        damaged("a.txt", b"text"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert predicted(tmp_path / name, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / name}")
    assert not (tmp_path / "out").exists()


def test_text_that_is_not_utf_8_far_down_is_refused(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(as_text(rows).encode() + b"\xff" * 3 + b"," * (len(rows[0]) - 1) + b"\n")
    assert predicted(path, "--output", tmp_path / "out") == 2
    assert f"error: {path}" in capsys.readouterr().err


def test_a_folder_is_mirrored_without_hidden_files_and_markers(
    project: Path, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    for name in ("a.csv", "2026/01/a.csv", "_SUCCESS", ".hidden.csv"):
        write(tmp_path / "in" / name, as_text(rows[:2]))
    assert predicted(tmp_path / "in", "--output", tmp_path / "out") == 0
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["2026/01/a.csv.out", "a.csv.out"]


def test_the_first_bad_row_is_named_whatever_its_column(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows[9]["site"] = "nowhere"
    rows[8]["health"] = "unknown"
    assert predicted(write(tmp_path / "a.csv", as_text(rows)), "--output", tmp_path / "out") == 2
    assert "row 9, column 'health': 'unknown' is not one of" in capsys.readouterr().err


def test_a_parquet_file_without_rows_has_an_output_with_its_columns(
    project: Path, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    parquet.write_table(typed(as_text(rows)).slice(0, 0), tmp_path / "a.parquet")
    assert predicted(tmp_path / "a.parquet", "--output", tmp_path / "out", "--join") == 0
    joined = parquet.read_table(tmp_path / "out/a.parquet.out.parquet")
    assert (joined.num_rows, joined.column_names) == (0, [*rows[0], "prediction"])


@pytest.mark.parametrize("arguments", [[], ["--join"]])
def test_a_file_without_rows_has_an_output_without_rows(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, arguments: list[str]
) -> None:
    path = write(tmp_path / "a.csv", as_text(rows[:1]).splitlines()[0] + "\n")
    assert predicted(path, "--output", tmp_path / "out", *arguments) == 0
    (output,) = (tmp_path / "out").iterdir()
    assert len(output.read_text().splitlines()) == len(arguments)


def test_join_keeps_the_text_of_a_csv_file_as_it_was(project: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    for row in rows:
        row["note"] = "plain"
    rows[3]["note"] = 'with "quotes", and a comma'
    path = write(tmp_path / "a.csv", as_text(rows))
    assert predicted(path, "--output", tmp_path / "out", "--join") == 0
    joined = list(csv.DictReader(io.StringIO((tmp_path / "out/a.csv.out.csv").read_text())))
    predictions = [float(row.pop("prediction")) for row in joined]
    assert joined == rows
    assert predictions == pytest.approx([float(line) for line in answer_to_a_request(rows).split()])


def test_join_keeps_the_types_of_a_parquet_file(project: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    table = typed(as_text(rows))
    parquet.write_table(table, tmp_path / "a.parquet")
    assert predicted(tmp_path / "a.parquet", "--output", tmp_path / "out", "--join") == 0
    joined = parquet.read_table(tmp_path / "out/a.parquet.out.parquet")
    assert joined.drop_columns("prediction") == table
    assert joined["prediction"].type == pa.float32()


def test_join_refuses_a_file_that_has_a_prediction(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.csv", as_text([{**row, "prediction": "1"} for row in rows]))
    assert predicted(path, "--output", tmp_path / "out", "--join") == 2
    assert "twice: prediction" in capsys.readouterr().err


def test_outputs_are_replaced_only_on_request(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.csv", as_text(rows))
    old = write(tmp_path / "out/a.csv.out", "old")
    assert predicted(path, "--output", tmp_path / "out") == 2
    assert f"{old} already exists" in capsys.readouterr().err
    assert old.read_text() == "old"
    assert predicted(path, "--output", tmp_path / "out", "--overwrite") == 0
    assert old.read_text() == answer_to_a_request(rows)


def test_a_failure_keeps_what_the_output_folder_held(project: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    rows[0]["age"] = "old"
    path = write(tmp_path / "a.csv", as_text(rows))
    old = write(tmp_path / "out/a.csv.out", "old")
    assert predicted(path, "--output", tmp_path / "out", "--overwrite") == 2
    assert [file.name for file in (tmp_path / "out").iterdir()] == [old.name]
    assert old.read_text() == "old"


@pytest.mark.parametrize("output", ["in", "in/out"])
def test_an_output_that_would_be_input_next_time_is_refused(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    write(tmp_path / "in/a.csv", as_text(rows))
    assert predicted(tmp_path / "in", "--output", tmp_path / output) == 2
    assert "is inside the input" in capsys.readouterr().err


def test_the_output_of_one_file_may_stand_beside_it(project: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", as_text(rows))
    assert predicted(path, "--output", tmp_path) == 0
    assert (tmp_path / "a.csv.out").is_file()


def test_no_input_and_no_approved_version_are_refused(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    assert predicted(tmp_path / "nothing", "--output", tmp_path / "out") == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert predicted(tmp_path / "empty", "--output", tmp_path / "out") == 2
    assert "There is no file in" in capsys.readouterr().err
    monkeypatch.setattr(Registry, "status", "Rejected")
    path = write(tmp_path / "a.csv", as_text(rows))
    assert predicted(path, "--output", tmp_path / "out") == 1
    assert "No version is approved" in capsys.readouterr().err
    assert predicted(path, "--output", tmp_path / "out", "--version", 7) == 0


def test_the_result_counts_rows_by_file(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in/a.csv", as_text(rows))
    write(tmp_path / "in/b.csv", as_text(rows[:10]))
    assert predicted(tmp_path / "in", "--output", tmp_path / "out", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["version"], result["rows"], result["captured"]) == (7, len(rows) + 10, True)
    assert [file["rows"] for file in result["files"]] == [len(rows), 10]


def test_what_was_asked_and_answered_is_captured_below_the_version(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_ROWS", 200)
    path = write(tmp_path / "a.csv", as_text(rows))
    assert predicted(path, "--output", tmp_path / "out") == 0
    slug = Project(project).slug
    (file,) = (project / ".mlops/s3").rglob("*.jsonl")
    below = f"local-bucket/{slug}/capture/7/{slug}-local-batch/AllTraffic/"
    assert file.relative_to(project / ".mlops/s3").as_posix().startswith(below)
    records = [record["captureData"] for record in captured(project)]
    assert len(records) == 2
    asked = "".join(record["endpointInput"]["data"].partition("\n")[2] for record in records)
    answered = "".join(record["endpointOutput"]["data"] for record in records)
    header = records[0]["endpointInput"]["data"].partition("\n")[0]
    assert HANDLERS.invoke(f"{header}\n{asked}".encode(), "text/csv", "text/csv") == answered
    assert answered == (tmp_path / "out/a.csv.out").read_text()


@pytest.mark.parametrize("kind", ["csv", "csv with a notation", "parquet"])
def test_what_is_captured_gives_the_same_answers_as_a_request(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(tmp_path / "a.csv", as_text(rows))
    if kind == "parquet":
        path = tmp_path / "a.parquet"
        parquet.write_table(typed(as_text(rows)), path)
    if "notation" in kind:
        monkeypatch.setattr("model.schema.SCHEMA", replace(SCHEMA, notation=Notation(("NA",), decimal_comma=True)))
        own = [{name: value.replace(".", ",") or "NA" for name, value in row.items()} for row in rows]
        write(path, as_text(own))
    assert predicted(path, "--output", tmp_path / "out") == 0
    (record,) = (record["captureData"] for record in captured(project))
    asked, answered = (record[side]["data"] for side in ("endpointInput", "endpointOutput"))
    assert HANDLERS.invoke(asked.encode(), "text/csv", "text/csv") == answered == answer_to_a_request(rows)


def test_a_captured_text_is_the_one_that_was_given(project: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    rows[0]["age"] = "30.50"
    assert predicted(write(tmp_path / "a.csv", as_text(rows)), "--output", tmp_path / "out") == 0
    (record,) = captured(project)
    asked = record["captureData"]["endpointInput"]["data"]
    assert asked.splitlines()[1:] == as_text(rows, FEATURES).splitlines()[1:]


def test_an_output_that_cannot_be_written_leaves_nothing(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PIECE_ROWS", 16)
    pieces = iter(range(5))

    def full(predictions: Any, accept: str) -> str:
        if next(pieces) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return inference.output_fn(predictions, accept)

    monkeypatch.setattr(batch, "load", lambda *given: replace(HANDLERS, output_fn=full))
    assert predicted(write(tmp_path / "a.csv", as_text(rows)), "--output", tmp_path / "out") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not list((project / ".mlops/s3").rglob("*.jsonl"))


def test_many_files_need_few_open_files(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def counting(matrix: Any, model: Any) -> Any:
        seen.append(len(list(Path("/proc/self/fd").iterdir())))
        return total(matrix, model)

    monkeypatch.setattr(batch, "load", lambda *given: replace(HANDLERS, predict_fn=counting))
    for number in range(40):
        write(tmp_path / f"in/{number}.csv", as_text(rows[:2]))
    assert predicted(tmp_path / "in", "--output", tmp_path / "out") == 0
    assert max(seen) < min(seen) + 10


@pytest.mark.parametrize(("percentage", "holds"), [(0, lambda rows: rows == 0), (50, lambda rows: 90 < rows < 210)])
def test_a_share_of_the_rows_is_captured(
    project: Path, rows: list[dict[str, str]], tmp_path: Path, percentage: int, holds: Callable[[int], bool]
) -> None:
    set_percentage(project, percentage)
    assert predicted(write(tmp_path / "a.csv", as_text(rows)), "--output", tmp_path / "out") == 0
    answers = [record["captureData"]["endpointOutput"]["data"] for record in captured(project)]
    assert holds(len("".join(answers).split()))


def test_nothing_is_captured_without_monitoring(project: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    answers = project / "project.yaml"
    answers.write_text(answers.read_text().replace('monitoring: "on"', 'monitoring: "off"'))
    assert predicted(write(tmp_path / "a.csv", as_text(rows)), "--output", tmp_path / "out") == 0
    assert captured(project) == []


@pytest.mark.slow
def test_a_batch_project_trains_approves_and_predicts_files(bake: Bake) -> None:
    project = give(bake(inference="batch"))
    mlops(project, "run")
    mlops(project, "approve", "latest")
    result = mlops_json(project, "batch", "data/raw", "--output", "predictions")
    predictions = (project / "predictions/visits.csv.gz.out").read_text().split()
    assert len(predictions) == result["rows"] == 20_190
    assert all(0 < float(value) < 1 for value in predictions)
    asked = mlops(project, "invoke", "data/request.csv").stdout.split()
    mlops(project, "batch", "data/request.csv", "--output", "predictions")
    assert (project / "predictions/request.csv.out").read_text().split() == asked
