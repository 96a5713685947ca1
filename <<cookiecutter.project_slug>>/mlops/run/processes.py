"""The child processes of a run, each in its own process group, so that all of them can be stopped."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mlops.base.documents import read_document
from mlops.base.files import replacing
from mlops.base.processes import Group, Process

JOB_NAME = "TRAINING_JOB_NAME"
"""The variable with the name of a job in its environment."""

RECORD = "process.json"
"""The file in the folder of a job with the process group of the job while it runs."""

SIGNAL_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.02


class RunStoppedError(Exception):
    """The run is being stopped; no more jobs are started."""


@dataclass
class Processes:
    """The child processes of a run, which stop with it.

    Each is recorded in its folder while it runs, so that it can be found if this process is killed.
    """

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
            environment: Its complete environment; JOB_NAME in it tells its processes from all others.
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
            record = folder / RECORD
            try:
                mark = f"{JOB_NAME}={environment[JOB_NAME]}"
                with replacing(record) as temporary:
                    temporary.write_text(json.dumps(asdict(Group(Process.of(process.pid), mark))), encoding="utf-8")
                return _wait(process, limit)
            finally:
                if not self.stopping.is_set():  # `stop` grants the group a grace period
                    _signal(process, signal.SIGKILL)  # processes that the job left behind
                    record.unlink(missing_ok=True)
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
    remaining = processes
    try:
        for process in processes:
            _signal(process, signal.SIGTERM)
        # The id of a group that has ended may be that of another one later: it gets no more signals.
        while (remaining := [each for each in remaining if _has_members(each)]) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    finally:
        for process in remaining:
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
    """Kill the jobs of a run that outlived its process: those that it has recorded and that still run.

    Raises:
        MlopsError: A record is damaged.
    """
    for record in sorted(folder.glob(f"*/{RECORD}")):
        remedy = f"End the job of {record.parent} if it still runs, and delete {record}."
        read_document(record, Group, "The record of a job's processes", remedy).kill()
        record.unlink(missing_ok=True)
