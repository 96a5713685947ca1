"""Documents: what is read, and what is refused with one error that names the file and the remedy."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from mlops.base import documents
from mlops.base.documents import read_document
from mlops.base.errors import MlopsError
from tests.projects import SOURCES


class Open(TypedDict):
    name: str
    size: NotRequired[int]


@dataclass(frozen=True)
class Closed:
    number: int
    share: float
    text: str = ""
    flag: bool = False
    kind: Literal["a", "b"] = "a"
    time: datetime | None = None
    place: Path | None = None
    value: str | int | float | bool = ""
    entries: tuple[Open, ...] = ()
    table: Mapping[str, list[int]] = field(default_factory=dict)


def read(path: Path, content: str | bytes, shape: Any = Closed) -> Any:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_document(path, shape, "The state", "Start anew.")


def test_a_document_becomes_its_dataclass(tmp_path: Path) -> None:
    content = {
        "number": 1, "share": 1, "time": "2026-01-31T06:00:00Z", "place": "/a", "value": 2.5,
        "entries": [{"name": "n", "more": None}], "table": {"x": [1]},
    }  # fmt: skip
    expected = Closed(
        1, 1.0, time=datetime(2026, 1, 31, 6, tzinfo=UTC), place=Path("/a"), value=2.5,
        entries=({"name": "n", "more": None},), table={"x": [1]},  # type: ignore[typeddict-unknown-key]
    )  # fmt: skip
    assert read(tmp_path / "state.json", json.dumps(content)) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"number": ', "Expecting value"),
        (b"\xff\xfe", "can't decode byte"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested more than 100 levels"),
        (b"[" * 101 + b"]" * 101, "nested more than 100 levels"),
        (b"1" * 5_000, "has 5000 digits"),
        (b"-" + b"1" * 21, "has 22 digits"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "1e999 is too large"),
        (b'"\\ud800"', "surrogate"),
        (b"null", "it is null, not an object"),
        (b"[]", r"it is \[\], not an object"),
        (b"{}", "`number` is missing"),
        (b'{"number": 1, "share": 0, "other": 1}', "`other` is unknown"),
        (b'{"number": true, "share": 0}', "`number` is true, not a whole number"),
        (b'{"number": 1.5, "share": 0}', "`number` is 1.5, not a whole number"),
        (b'{"number": 1, "share": "0"}', '`share` is "0", not a number'),
        (b'{"number": 1, "share": 0, "text": null}', "`text` is null, not a text"),
        (b'{"number": 1, "share": 0, "flag": 1}', "`flag` is 1, not true or false"),
        (b'{"number": 1, "share": 0, "kind": "c"}', "`kind` is \"c\", not one of 'a', 'b'"),
        (b'{"number": 1, "share": 0, "kind": []}', r"`kind` is \[\], not one of"),
        (b'{"number": 1, "share": 0, "time": "2026-01-31T06:00:00"}', "not a time with its zone"),
        (b'{"number": 1, "share": 0, "time": 5}', "`time` is 5, not a time"),
        (b'{"number": 1, "share": 0, "place": "a\\u0000b"}', "not a path"),
        (b'{"number": 1, "share": 0, "value": []}', r"`value` is \[\], not"),
        (b'{"number": 1, "share": 0, "entries": {}}', r"`entries` is \{\}, not a list"),
        (b'{"number": 1, "share": 0, "entries": [{"name": "a"}, {}]}', "`entries.1.name` is missing"),
        (b'{"number": 1, "share": 0, "entries": [{"name": "a", "size": "1"}]}', "`entries.0.size`"),
        (b'{"number": 1, "share": 0, "table": {"x": [1, "2"]}}', '`table.x.1` is "2"'),
    ],
)
def test_a_damaged_document_is_named_with_the_reason_and_the_remedy(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "state.json"
    with pytest.raises(MlopsError, match=rf"^The state is damaged: {re.escape(str(path))} \(.*{reason}") as refusal:
        read(path, content)
    assert refusal.value.remedy == "Start anew."
    assert len(refusal.value.message) < len(str(path)) + 250


def test_a_missing_file_is_said_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="The state is missing"):
        read_document(tmp_path / "none", dict[str, Any], "The state", "Start anew.")


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop"])
def test_what_is_not_a_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "state.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with pytest.raises(MlopsError, match="The state cannot be read") as refusal:
        read_document(path, dict[str, Any], "The state", "Start anew.")
    assert refusal.value.remedy == "Start anew."


def test_a_huge_file_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(MlopsError, match=f"has {2**40} bytes, more than the {documents.LARGEST_BYTES} that"):
        read_document(path, dict[str, Any], "The state", "Start anew.")


def test_a_name_that_is_not_utf_8_survives(tmp_path: Path) -> None:
    assert read(tmp_path / "state.json", '["\\udcff", "\\ud83d\\ude00"]', list[str]) == ["\udcff", "\N{GRINNING FACE}"]


PARSES = re.compile(r"json\.loads?\(")
READERS = {
    "base/documents.py": "this is the reader",
    "compile/compiler.py": "the SDK's own output",
    "pipeline/data_check.py": "the response of a Lambda function",
    "pipeline/sagemaker.py": "a definition that SageMaker holds, compared only",
    "deployment/checks/model.py": "a policy that SageMaker holds",
    "batch/schedule.py": "the input of a schedule in AWS",
    "retraining/executions.py": "a definition that SageMaker holds",
    "retraining/table.py": "the item of a table in AWS",
    "serving/probes.py": "the schema in a verified archive; without it, the handlers alone serve",
}


def test_no_other_module_parses_json_of_files() -> None:
    machinery = SOURCES / "mlops"
    found = {
        path.relative_to(machinery).as_posix()
        for path in machinery.rglob("*.py")
        if PARSES.search(path.read_text(encoding="utf-8")) and path.parent.name != "functions"
    }
    assert found == READERS.keys()
