"""Captured records: whole lines, whatever the disk does."""

import base64
import errno
import json
import os
import shutil
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.base import capture
from mlops.serving import recorder as recorder_module
from mlops.serving.recorder import Recorder
from tests.machinery.serving.served import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "FLUSH_SECONDS", 0.02)


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.rglob("*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]


@given(st.text(), st.binary(), st.text(min_size=1), st.text())
def test_a_record_is_a_line_of_json_that_holds_what_was_said(request: str, answer: bytes, name: str, said: str) -> None:
    line = capture.Encoder("text/csv", "application/octet-stream").record(request.encode(), answer, name, said)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    record = json.loads(line)
    assert set(record) == {"captureData", "eventMetadata", "eventVersion"}
    assert record["eventVersion"] == "0"
    assert record["captureData"]["endpointInput"]["data"] == request
    output = record["captureData"]["endpointOutput"]
    assert (output["mode"], output["encoding"]) == ("OUTPUT", "BASE64")
    assert base64.b64decode(output["data"]) == answer
    metadata = record["eventMetadata"]
    assert metadata["inferenceId"] == name
    assert metadata.get("customAttributes", [""]) == [said]
    assert datetime.fromisoformat(metadata["inferenceTime"]).tzinfo is UTC
    assert str(uuid.UUID(metadata["eventId"])) == metadata["eventId"]


def test_every_record_has_an_id_of_its_own() -> None:
    encoder = capture.Encoder("text/csv", "text/csv")
    events = [json.loads(encoder.record(b"1", b"2"))["eventMetadata"]["eventId"] for _ in range(100)]
    assert len(set(events)) == 100


def test_objects_stand_where_sagemaker_puts_them() -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
    uri = f"{capture.prefix('bucket', 'slug', 3, 'slug-local')}/{capture.object_name(moment)}"
    beginning, _, end = uri.rpartition("06-07-089-")
    assert beginning == "s3://bucket/slug/capture/3/slug-local/AllTraffic/2026/03/04/05/"
    assert uuid.UUID(end.removesuffix(".jsonl"))


def test_what_is_added_is_in_files_after_closing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for number in range(1000):
        recorder.add(b"%d\n" % number)
    recorder.close()
    assert lines(tmp_path) == [b"%d\n" % number for number in range(1000)]
    assert (recorder.written, recorder.lost) == (1000, 0)


def test_what_is_added_is_in_a_file_soon(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(b"early\n")
    until(lambda: lines(tmp_path) == [b"early\n"])
    recorder.close()


def test_nothing_added_leaves_no_file(tmp_path: Path) -> None:
    Recorder(tmp_path / "captured").close()
    assert not (tmp_path / "captured").exists()


def test_a_file_that_is_large_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "OBJECT_BYTES", 10)
    recorder = Recorder(tmp_path)
    for number in range(3):
        recorder.add(b"a line of %d\n" % number)
        until(lambda wanted=number + 1: recorder.written == wanted)
    recorder.close()
    assert len(list(tmp_path.rglob("*.jsonl"))) == 3
    assert len(lines(tmp_path)) == 3


def test_a_new_hour_begins_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        hour_now = 5

        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2026, 1, 1, cls.hour_now, 59, tzinfo=tz)

    monkeypatch.setattr(recorder_module, "datetime", Clock)
    recorder = Recorder(tmp_path)
    recorder.add(b"five\n")
    until(lambda: recorder.written == 1)
    Clock.hour_now = 6
    recorder.add(b"six\n")
    recorder.close()
    assert [path.parent.name for path in sorted(tmp_path.rglob("*.jsonl"))] == ["05", "06"]


def test_a_full_disk_loses_counted_records_and_never_half_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = threading.Event()
    write = os.write

    def write_little(descriptor: int, data: Any) -> int:
        if not full.is_set():
            return write(descriptor, data)
        if len(data) > 3:
            return write(descriptor, data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write_little)
    recorder = Recorder(tmp_path)
    recorder.add(b"before\n")
    until(lambda: recorder.written == 1)
    full.set()
    recorder.add(b"during\n")
    until(lambda: recorder.lost == 1)
    full.clear()
    recorder.add(b"after\n")
    recorder.close()
    assert lines(tmp_path) == [b"before\n", b"after\n"]
    assert (recorder.written, recorder.lost) == (2, 1)
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("what", ["folder", "file", "moved folder"])
def test_records_in_a_file_that_is_gone_count_as_lost_and_the_next_ones_are_on_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    folder = tmp_path / "captured"
    recorder = Recorder(folder)
    recorder.add(b"one\n")
    recorder.add(b"two\n")
    until(lambda: recorder.written == 2)
    if what == "folder":
        shutil.rmtree(folder)
    elif what == "file":
        next(folder.rglob("*.jsonl")).unlink()
    else:
        folder.rename(tmp_path / "elsewhere")
    recorder.add(b"three\n")
    until(lambda: recorder.written == 1 and lines(folder))
    assert (recorder.written, recorder.lost) == (1, 2)
    assert "has been deleted or moved" in caplog.text
    recorder.close()
    assert lines(folder) == [b"three\n"]


@pytest.mark.parametrize("times", [1, 100])
def test_a_file_deleted_while_it_is_written_is_written_again_or_its_records_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    write = os.write
    left = [times]

    def write_and_delete(descriptor: int, data: Any) -> int:
        written = write(descriptor, data)
        if left[0]:
            left[0] -= 1
            shutil.rmtree(tmp_path / "captured")
        return written

    monkeypatch.setattr(os, "write", write_and_delete)
    recorder = Recorder(tmp_path / "captured")
    recorder.add(b"a line\n")
    recorder.close()
    assert recorder.written == len(lines(tmp_path)) == (times == 1)
    assert recorder.lost == (times != 1)


def test_a_file_deleted_before_the_end_does_not_count_as_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "captured")
    recorder.add(b"a line\n")
    until(lambda: recorder.written == 1)
    shutil.rmtree(tmp_path / "captured")
    recorder.close()
    assert (recorder.written, recorder.lost) == (0, 1)


def test_a_folder_that_cannot_be_made_does_not_stop_the_recorder(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file is in the way")
    recorder = Recorder(tmp_path / "folder")
    recorder.add(b"lost\n")
    until(lambda: recorder.lost == 1)
    (tmp_path / "folder").unlink()
    recorder.add(b"kept\n")
    recorder.close()
    assert lines(tmp_path) == [b"kept\n"]


def test_a_disk_that_is_too_slow_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "BACKLOG_BYTES", 100)
    blocked = threading.Event()
    write = os.write

    def wait_and_write(descriptor: int, data: Any) -> int:
        blocked.wait()
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", wait_and_write)
    recorder = Recorder(tmp_path)
    for _ in range(100):
        recorder.add(b"ten bytes\n")
    blocked.set()
    recorder.close()
    assert recorder.lost == 100 - recorder.written
    assert recorder.written == len(lines(tmp_path)) == 11
