"""Lines of files, read in blocks."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelkit import captured, records, statistics
from modelkit.intervals import Interval
from tests.machinery.modelkit.test_compare import SMALL, draw, lines, write_baseline
from tests.machinery.modelkit.traffic import arguments, record, write_captured, write_window
from tests.projects import SOURCES

HOUR = {"start": "2026-01-31T06:00:00Z", "end": "2026-01-31T07:00:00Z"}


@settings(deadline=None, max_examples=100)
@given(
    content=st.lists(st.sampled_from([b"", b" ", b"a", b"bc", b"\r", b"defghi"]), max_size=12).map(b"\n".join),
    size=st.integers(1, 9),
)
def test_blocks_of_any_size_have_the_lines_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(content)
    expected = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    found = list(records.blocks(path, size))
    assert [line for block, _ in found for line in block] == expected
    torn = bool(content.rpartition(b"\n")[2].strip())
    assert [complete for _, complete in found if not complete] == [False] * torn


def test_a_line_without_end_takes_bounded_memory_and_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LONGEST_LINE", 100)
    path = tmp_path / "long"
    path.write_bytes(b"first\n" + b"x" * 100_000 + b"\nlast\n")
    (first, second) = [line for block, _ in records.blocks(path, 64) for line in block][:2]
    last = [line for block, _ in records.blocks(path, 64) for line in block][-1]
    assert (first, last) == ((1, b"first"), (3, b"last"))
    assert second[0] == 2
    assert len(second[1]) < 300
    with pytest.raises(UnicodeDecodeError):
        second[1].decode()


@pytest.mark.parametrize(
    ("time", "within"),
    [
        ("2026-01-31T05:59:59Z", False),
        ("2026-01-31T05:59:59.999Z", False),
        ("2026-01-31T06:00:00Z", True),
        ("2026-01-31T06:00:00.000Z", True),
        ("2026-01-31T06:00:00.123Z", True),
        ("2026-01-31T06:59:59.999999Z", True),
        ("2026-01-31T07:00:00Z", False),
        ("2026-01-31T07:00:00.0Z", False),
        ("2026-01-31T07:00:00.001Z", False),
    ],
)
@pytest.mark.parametrize("fraction", ["", ".000"])
def test_times_are_compared_with_and_without_fractions_of_a_second(time: str, within: bool, fraction: str) -> None:
    interval = Interval.from_document({name: value.replace("Z", f"{fraction}Z") for name, value in HOUR.items()})
    times = records.parse_records([record("1\n", "0.5\n", time=time)])["time"]
    assert interval.holds(times).to_pylist() == [within]


@pytest.mark.parametrize(
    "time", ["", "now", "2026-01-31 06:00:00Z", "2026-01-31T06:00:00", "2026-01-31T06:00:00+01:00"]
)
def test_another_notation_of_a_time_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="UTC"):
        records.parse_records([record("1\n", "0.5\n", time=time)])


def test_an_object_contains_records_of_its_hour_and_the_one_before() -> None:
    interval = Interval.from_document(HOUR)
    hours = [f"2026-01-31T{hour:02}" for hour in range(24)]
    assert [hour for hour in hours if interval.may_hold(hour)] == hours[6:9]
    assert Interval.from_document(HOUR | {"start": None}).may_hold("2020-01-01T00")


def test_rows_are_held_in_batches_of_bounded_size_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_captured(tmp_path, *lines(draw(3_000, seed=1)))
    monkeypatch.setattr(captured, "blocks", partial(records.blocks, size=20_000))
    monkeypatch.setattr(statistics, "_BATCH", 100)
    accumulator = statistics.Accumulator(captured.table_schema(SMALL))
    largest = pending = 0
    reader = captured.Captured(Interval.from_document(HOUR | {"end": "2999-01-01T00:00:00Z"}), None, "test-")
    for batch in reader.read(tmp_path / "1", SMALL):
        accumulator.add(batch.rows)
        largest = max(largest, batch.rows.num_rows)
        pending = max(pending, accumulator._pending_rows)
    assert (reader.records, accumulator.rows) == (3_000, 3_000)
    assert largest < 60
    assert pending < 100


@pytest.mark.nightly
def test_ten_million_rows_are_compared_within_a_gigabyte(tmp_path: Path) -> None:
    write_window(tmp_path / "window")
    write_baseline(tmp_path / "window/1")
    content = b"".join(lines(draw(10_000, seed=1)))
    path = write_captured(tmp_path / "captured", *[content] * 20)
    for number in range(1, 50):
        path.with_name(f"{number}.jsonl").hardlink_to(path)
    code = (
        "import resource, sys\nfrom modelkit.jobs import compare\n"
        "assert compare.main(sys.argv[1:]) == 0\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, *arguments(tmp_path)]
    result = subprocess.run(command, cwd=SOURCES, check=True, capture_output=True, text=True)
    assert int(result.stdout.splitlines()[-1]) * 1024 < 10**9
    assert json.loads((tmp_path / "output/window.json").read_text())["versions"]["1"]["rows"] == 10_000_000
