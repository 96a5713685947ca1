"""The child processes of a run, each in a process group of its own, so that none outlives the run unnoticed."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mlops.run.sandbox import CONTAINER_ROOT

SIGNAL_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.02


class StoppedError(Exception):
    """The run is being stopped: no further job starts."""


@dataclass
class Processes:
    """The child processes of a run, so that stopping the run ends all of them."""

    stopping: threading.Event = field(default_factory=threading.Event)
    _running: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, command: list[str], *, folder: Path, environment: Mapping[str, str], log: Path, limit: float | None
    ) -> int:
        """Run a command in a process group of its own and return its exit status, negative for a signal.

        Args:
            command: The program and its arguments.
            folder: Its working folder.
            environment: All of its environment.
            log: The file its output is appended to.
            limit: Seconds after which it is ended; None for no limit.

        Raises:
            StoppedError: The run was stopped before the command started.
            subprocess.TimeoutExpired: It ran longer than `limit`; it has been ended.
            OSError: It could not be started.
        """
        with log.open("ab") as output:
            with self._lock:
                if self.stopping.is_set():
                    raise StoppedError
                process = subprocess.Popen(
                    command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                self._running.add(process)
            try:
                return process.wait(limit)
            except subprocess.TimeoutExpired:
                _end([process])
                raise
            finally:
                if not self.stopping.is_set():  # `stop` gives the group its grace
                    _signal(process, signal.SIGKILL)  # what the job left behind
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """End every running job: SIGTERM to its group, SIGKILL after a grace period. No further job starts."""
        with self._lock:
            self.stopping.set()
            running = list(self._running)
        _end(running)


def _end(processes: list["subprocess.Popen[bytes]"]) -> None:
    """End whole process groups: the leader may be a shell that dies before the job it started."""
    deadline = time.monotonic() + SIGNAL_GRACE_SECONDS
    try:
        for process in processes:
            _signal(process, signal.SIGTERM)
        while time.monotonic() < deadline and any(_has_members(process) for process in processes):
            time.sleep(_POLL_SECONDS)
    finally:
        for process in processes:
            _signal(process, signal.SIGKILL)


def _has_members(process: "subprocess.Popen[bytes]") -> bool:
    process.poll()  # a leader that has ended but was not waited for would count as a member
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def end_orphans(folder: Path) -> None:
    """End the jobs of a run that outlived its process: those with a path of the run's folder in their command."""
    if shutil.which("ps") is None:
        return
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=", "-o", "command="], capture_output=True, text=True, check=False
    )
    for line in listing.stdout.splitlines():
        number, _, command = line.strip().partition(" ")
        if f"/{folder.name}/" in command and CONTAINER_ROOT in command and number.isdigit():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(os.getpgid(int(number)), signal.SIGKILL)
