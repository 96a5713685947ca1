"""The page of the server's promises says what the code does, and each promise has its test."""

import re
from pathlib import Path

import pytest

from mlops.base.payloads import MEGABYTE
from mlops.serving import deadlines, descriptors, heads, recorder, server, supervisor, transport
from mlops.serving.settings import Settings
from tests.projects import SOURCES

PAGE = (SOURCES / "docs/server-promises.md").read_text(encoding="utf-8")
DEFAULTS = Settings()
KILOBYTE = 1024


@pytest.mark.parametrize(
    ("begins", "numbers"),
    [
        ("| request line and headers", [f"{heads.HEAD_BYTES // KILOBYTE} KB"]),
        ("| number of headers", [f"| {heads.HEADERS} |"]),
        ("| trailers", [f"{heads.HEAD_BYTES // KILOBYTE} KB", f"{transport.OVERHEAD} bytes"]),
        ("| requests of one connection", [f"| {transport.PIPELINED} |"]),
        ("| open connections", [f"less {descriptors.RESERVED} in reserve"]),
        ("| captured records", [f"{recorder.BACKLOG_BYTES // MEGABYTE} MB"]),
        ("| a request arrives", [f"`serving.read_timeout_seconds`, {DEFAULTS.read_timeout_seconds:g} s"]),
        ("| the client takes", [f"`serving.write_timeout_seconds`, {DEFAULTS.write_timeout_seconds:g} s"]),
        ("| another request", [f"{deadlines.KEEP_ALIVE_SECONDS:g} s"]),
        ("| a refused client", [f"{deadlines.LINGER_SECONDS:g} s"]),
        ("| a model loads", [f"`serving.load_timeout_seconds`, {DEFAULTS.load_timeout_seconds:g} s"]),
        (
            "| requests in progress",
            [f"| {DEFAULTS.shutdown_seconds} s", f"exited {supervisor.GRACE_SECONDS:g} s later"],
        ),
        (
            "| SIGTERM",
            [
                f"idle for {server.IDLE_SECONDS:g} s",
                f"opened {server.FRESH_SECONDS:g} s before",
                f"none for {server.QUIET_SECONDS:g} s",
                f"within {DEFAULTS.shutdown_seconds} s",
            ],
        ),
        ("| a worker is killed", [f"last {recorder.FLUSH_SECONDS:g} s"]),
        ("the system allows", [f"up to {descriptors.WANTED}"]),
    ],
)
def test_the_numbers_on_the_page_are_those_of_the_code(begins: str, numbers: list[str]) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(begins)]
    assert [number for number in numbers if number not in line] == []


def test_each_promise_names_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    files = Path(__file__).parent.glob("test_*.py")
    tests = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert named
    assert named - tests == set()


def test_each_limit_and_deadline_names_its_test() -> None:
    rows = PAGE.partition("## HTTP")[0].splitlines()
    promises = [row for row in rows if row.startswith("| ") and not row.startswith("| what ")]
    assert promises
    assert [row for row in promises if not re.search(r"\| `test_\w+` \|$", row)] == []
