"""The child processes of a run, each in its own process group, so that all of them can be stopped."""

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


class RunStoppedError(Exception):
    """The run is being stopped; no more jobs are started."""


@dataclass
class Processes:
    """The child processes of a run, which stop with it."""

    stopping: threading.Event = field(default_factory=threading.Event)
    _running: set["subprocess.Popen[bytes]"] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(
        self, command: list[str], *, folder: Path, environment: Mapping[str, str], log: Path, limit: float | None
    ) -> int:
        """Run a command in its own process group and return its exit status, negative for a signal.

        Args:
            command: The program and its arguments.
            folder: Its working folder.
            environment: Its complete environment.
            log: The file that its output is appended to.
            limit: Seconds after which it is stopped; None for no limit.

        Raises:
            RunStoppedError: The run was stopped before the command started.
            subprocess.TimeoutExpired: It ran longer than `limit` and was stopped.
            OSError: It could not be started.
        """
        with log.open("ab") as output:
            with self._lock:
                if self.stopping.is_set():
                    raise RunStoppedError
                process = subprocess.Popen(
                    command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
                self._running.add(process)
            try:
                return _wait(process, limit)
            finally:
                if not self.stopping.is_set():  # `stop` grants the group a grace period
                    _signal(process, signal.SIGKILL)  # processes that the job left behind
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """Stop every running job (SIGTERM to its group, SIGKILL after a grace period) and start no more."""
        with self._lock:
            self.stopping.set()
            running = list(self._running)
        _stop(running)


def _wait(process: "subprocess.Popen[bytes]", limit: float | None) -> int:
    """Return the exit status of a process, as `Popen.wait`, which polls if it has a limit: up to 50 ms too late.

    Raises:
        subprocess.TimeoutExpired: It ran longer than `limit` and was stopped.
    """
    if limit is None:
        return process.wait()
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _stop([process])

    timer = threading.Timer(limit, expire)
    timer.daemon = True
    timer.start()
    status = process.wait()
    timer.cancel()
    if expired.is_set():
        timer.join()  # the rest of its group has a grace period
        raise subprocess.TimeoutExpired(process.args, limit)
    return status


def _stop(processes: list["subprocess.Popen[bytes]"]) -> None:
    """Stop whole process groups: the leader may be a shell that exits before the job it started."""
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
    process.poll()  # a zombie leader would count as a member
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def stop_orphans(folder: Path) -> None:
    """Kill jobs that outlived the run's process: those with a path of the run's folder in their command."""
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
