"""Documents of other jobs: what is not one is a single error."""

import os
import re
from pathlib import Path

import pytest

from modelkit import documents
from tests.projects import SOURCES

DAMAGED = [
    b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5_000, b"1" * 400, b"NaN", b"[-Infinity]", b"1e999",
]  # fmt: skip


def test_a_document_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, -2.5e3, "\u00e9", null]}')
    assert documents.read(tmp_path / "a.json") == {"a": [1, -2500.0, "\u00e9", None]}


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_document_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r".{5}"):
        documents.read(tmp_path / "a.json")


def test_what_is_missing_or_huge_or_a_folder_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        documents.read(tmp_path / "a.json")
    with pytest.raises(ValueError, match="directory"):
        documents.read(tmp_path)
    (tmp_path / "a.json").touch()
    os.truncate(tmp_path / "a.json", 2**40)
    with pytest.raises(ValueError, match=f"{2**40} bytes"):
        documents.read(tmp_path / "a.json")


OTHERS = {
    "documents.py": "this is the reader",
    "bodies.py": "the bodies of requests",
    "pickles.py": "the header of a model",
    "jobs/train.py": "the value of an environment variable",
}


def test_no_other_module_parses_json() -> None:
    kit = SOURCES / "modelkit"
    found = {
        path.relative_to(kit).as_posix()
        for path in kit.rglob("*.py")
        if re.search(r"json\.loads?\(", path.read_text(encoding="utf-8"))
    }
    assert found == OTHERS.keys()
