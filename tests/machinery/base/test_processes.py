"""Processes that are signalled only if they are known to be the recorded ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.base import processes
from mlops.base.processes import Group, Process

COMMAND = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(params=["/proc", "ps"])
def child(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Process]:
    """A process, as Linux tells of it in /proc, and as other systems do."""
    if request.param == "ps":
        monkeypatch.setattr(processes, "_PROC", tmp_path)
    environment = {**os.environ, "JOB": "mine"}
    with subprocess.Popen(COMMAND, start_new_session=True, env=environment) as process:
        yield Process.of(process.pid)
        process.kill()


def status(process: Process) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


def test_the_recorded_process_gets_the_signal(child: Process) -> None:
    assert child.is_running()
    assert child.send(signal.SIGTERM)
    assert status(child) == -signal.SIGTERM


@pytest.mark.parametrize("started", ["", "x", "Thu Jan 1 00:00:00 1970"])
def test_a_process_that_was_started_at_another_time_gets_no_signal(child: Process, started: str) -> None:
    other = Process(child.pid, started)
    assert not other.is_running()
    assert not other.send(signal.SIGKILL)
    Group(other, "JOB=mine").kill()
    assert child.is_running()


def test_this_process_and_its_parent_get_no_signal(child: Process) -> None:
    for pid in (os.getpid(), os.getppid(), 1, 0, -1):
        assert not Process.of(pid).send(signal.SIGKILL)
        assert child.is_running()


def test_the_group_of_the_recorded_leader_is_killed(child: Process) -> None:
    Group(child, "JOB=mine").kill()
    assert status(child) == -signal.SIGKILL
