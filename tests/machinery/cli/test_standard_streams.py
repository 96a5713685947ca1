"""Verbs of a process that was started with standard streams closed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.cli.main import verbs_of
from tests.answers import rest_at_night
from tests.projects import SOURCES, mlops

CLOSED = rest_at_night(["2>&-", "<&- >&- 2>&-", "<&-", ">&-", ">&- 2>&-"], 2)


def closed(project: Path, verb: str, streams: str) -> subprocess.CompletedProcess[bytes]:
    command = f"exec .venv/bin/python -m mlops {verb} {streams}"
    return subprocess.run(["sh", "-c", command], cwd=project, capture_output=True, check=False)


def test_a_name_that_is_not_utf_8_is_printed() -> None:
    program = "from mlops.cli import standard_streams; standard_streams.complete(); print('visits\\udcff.csv')"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout == b"visits\\udcff.csv\n"


@pytest.mark.slow
@pytest.mark.parametrize("streams", CLOSED)
def test_a_run_writes_no_message_into_its_files_and_nothing_else_to_standard_output(
    project: Path, streams: str
) -> None:
    done = closed(project, "run --json", streams)
    assert done.returncode == 0
    (run,) = (project / ".mlops/runs").iterdir()
    assert json.loads((run / "run.json").read_text())["status"] == "Succeeded"
    assert not (run / ".lock").read_bytes()
    assert (">&-" in streams.split()) == (done.stdout == b"")
    if done.stdout:
        assert json.loads(done.stdout)["status"] == "Succeeded"
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("streams", CLOSED)
def test_a_server_that_is_started_and_stopped_with_closed_streams_is_served(after_run: Path, streams: str) -> None:
    mlops(after_run, "approve", "1")
    assert closed(after_run, "serve --detach --port 0", streams).returncode == 0
    try:
        assert len(mlops(after_run, "invoke", "data/request.csv").stdout.splitlines()) == 3
    finally:
        assert closed(after_run, "serve --stop", streams).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("streams", CLOSED)
def test_each_verb_exits_with_the_status_that_it_has_with_open_streams(compiled_project: Path, streams: str) -> None:
    for verb in verbs_of({}):
        expected = mlops(compiled_project, verb, "--no-such-option", check=False)
        done = closed(compiled_project, f"{verb} --no-such-option", streams)
        assert done.returncode == expected.returncode == 2
        assert done.stdout.decode() == ""
        assert done.stderr.decode() == ("" if "2>&-" in streams else expected.stderr)
