"""Keeps the workers: starts them, replaces those that die, and all of them when the settings change.

They accept from one socket that this process keeps open, so that no connection is lost while workers are replaced.
Workers are started anew, not forked: the threads of the model's libraries do not survive a fork.
"""

import contextlib
import errno
import importlib.util
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.base.errors import MlopsError, UsageError
from mlops.serving.settings import TWIN_FILE, Settings
from mlops.serving.state import CREATING, FAILED, IN_SERVICE, READY, UPDATING, State

UPDATE = signal.SIGUSR1
"""The signal to read the settings again."""

RESTART_SECONDS = 0.5
"""A worker that died is replaced after this pause: one that dies at once must not keep the machine busy."""

_TRANSPORT = ("uvicorn", "uvloop", "httptools")
_BACKLOG = 2048
_MESSAGE_BYTES = 64 * 1024
_GRACE_SECONDS = 5
_TWIN_SECONDS = 120
_log = logging.getLogger("mlops.serving")


@dataclass(eq=False)
class Worker:
    """A worker process.

    Attributes:
        settings: What it was started with.
        process: The process.
        control: Our end of its control socket.
        outcome: What it said of its start; empty before it said anything.
    """

    settings: Settings
    process: "subprocess.Popen[bytes]"
    control: socket.socket
    outcome: str = ""

    @classmethod
    def start(cls, settings: Settings, listener: socket.socket) -> "Worker":
        """Start a worker, in a process group of its own: Ctrl-C is for the supervisor."""
        ours, theirs = socket.socketpair()
        descriptors = (listener.fileno(), theirs.fileno())
        command = [sys.executable, "-m", "mlops.serving.worker", settings.as_json(), *map(str, descriptors)]
        with theirs:
            process = subprocess.Popen(command, env=_one_thread(), pass_fds=descriptors, process_group=0)
        return cls(settings, process, ours)

    def end(self) -> None:
        """Tell it to finish what it is answering, and end; unlike a signal, this cannot come too early."""
        with contextlib.suppress(OSError):  # it is dead
            self.control.shutdown(socket.SHUT_WR)


class Supervisor:
    """The workers of one server.

    SIGUSR1 reads the settings again and replaces the workers, unless the new ones fail: then the old ones stay.
    SIGTERM, SIGINT and SIGHUP end the server. Address and port stay as they were at the start.
    """

    def __init__(self, read: Callable[[], Settings], report: Callable[[State], None]) -> None:
        """Open the socket.

        Args:
            read: Reads the settings.
            report: Is given the state whenever it changes.

        Raises:
            MlopsError: The settings cannot be read, a library is missing, or the port is in use.
        """
        for name in _TRANSPORT:
            if importlib.util.find_spec(name) is None:
                raise MlopsError(f"The server needs {name}, which is not installed.", "Install it: `make setup`.")
        self._read = read
        self._report = report
        self._wanted: Settings | None = read()
        self._settled: Settings | None = None  # wanted until a moment ago; workers are still leaving
        self._current: Settings | None = None
        self._listener = _listen(self._wanted.host, self._wanted.port)
        host, port = self._listener.getsockname()[:2]
        started = datetime.now(UTC).isoformat(timespec="seconds")
        self._state = State(os.getpid(), started, CREATING, host, port, 0, self._wanted.version, "")
        self._workers: list[Worker] = []
        self._failure = ""
        self._works = False
        self._update_again = False
        self._restart_at: float | None = None
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Serve until told to end; 0."""
        with _signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, UPDATE) as arrived:
            self._selector.register(arrived, selectors.EVENT_READ)
            self._say(status=CREATING)
            self._try()
            while not self._stopping:
                self._turn(None if self._restart_at is None else max(0.0, self._restart_at - time.monotonic()))
                self._restart()
            self._end()
        return 0

    def _turn(self, patience: float | None) -> None:
        """Wait for something to happen and deal with it."""
        for key, _ in self._selector.select(patience):
            if isinstance(key.data, Worker):
                self._hear(key.data)
            else:
                self._take_signals(key.fileobj)
        if self._wanted and not self._stopping and all(worker.outcome for worker in self._of(self._wanted)):
            self._settle(self._wanted)
        if self._settled and len(self._workers) == len(self._of(self._current)):
            self._announce(self._settled)

    def _of(self, settings: Settings | None) -> list[Worker]:
        return [worker for worker in self._workers if worker.settings is settings]

    def _take_signals(self, arrived: Any) -> None:
        for number in arrived.recv(_MESSAGE_BYTES):
            if number == UPDATE:
                self._update()
            else:
                self._stopping = True

    def _hear(self, worker: Worker) -> None:
        """Take what a worker said of its start, or its death."""
        worker.outcome = _received(worker.control)
        if worker.outcome:
            if worker.outcome != READY:
                self._failure = worker.outcome
            elif worker.settings is self._current:  # one that was started again
                self._say(status=IN_SERVICE, failure="")
            return
        self._selector.unregister(worker.control)
        worker.control.close()
        self._workers.remove(worker)
        status = worker.process.wait()
        if not self._stopping and (worker.settings is self._wanted or worker.settings is self._current):
            self._failure = f"A worker ended with status {status}."
            self._restart_at = time.monotonic() + RESTART_SECONDS
            _log.error("worker %d ended with status %d", worker.process.pid, status)

    def _update(self) -> None:
        if self._wanted or self._settled:
            self._update_again = True
            return
        try:
            self._wanted = replace(self._read())  # workers are told apart by the settings they were given
        except MlopsError as error:
            self._say(failure=error.message)
            return
        self._say(status=UPDATING)
        self._try()

    def _try(self) -> None:
        """Start the workers of the wanted settings."""
        assert self._wanted
        self._failure = ""
        _make_twin(self._wanted.model)
        for _ in range(self._wanted.workers):
            self._start(self._wanted)

    def _start(self, settings: Settings) -> None:
        worker = Worker.start(settings, self._listener)
        self._workers.append(worker)
        self._selector.register(worker.control, selectors.EVENT_READ, worker)

    def _settle(self, tried: Settings) -> None:
        """Put the wanted settings into force, or give them up: each of their workers has said how it is."""
        self._wanted = None
        leaving: Settings | None
        if self._failure and self._works:
            leaving = tried
            _log.error("version %d is not taken into service: %s", tried.version, self._failure)
        else:
            leaving, self._current, self._works = self._current, tried, not self._failure
        for worker in self._of(leaving):
            worker.end()
        self._settled = tried

    def _announce(self, tried: Settings) -> None:
        """Say how it is: the workers that had to leave are gone, so that no answer is theirs."""
        self._settled = None
        assert self._current
        status, version = IN_SERVICE if self._works else FAILED, self._current.version
        self._say(
            status=status, version=version, workers=self._current.workers, deployment=tried.deployment,
            failure=self._failure,
        )  # fmt: skip
        _log.info("version %d at http://%s:%d is %s", version, self._state.host, self._state.port, status)
        if self._update_again:
            self._update_again = False
            self._update()

    def _restart(self) -> None:
        """Start what is missing of the current workers, once the pause is over."""
        if self._current and self._restart_at is not None and time.monotonic() >= self._restart_at:
            self._restart_at = None
            for _ in range(self._current.workers - len(self._of(self._current))):
                self._start(self._current)

    def _end(self) -> None:
        self._listener.close()
        for worker in self._workers:
            worker.end()
        longest = max((worker.settings.shutdown_seconds for worker in self._workers), default=0)
        deadline = time.monotonic() + longest + _GRACE_SECONDS
        while self._workers and (left := deadline - time.monotonic()) > 0:
            self._turn(left)
        for worker in self._workers:
            _log.error("worker %d does not end: it is killed", worker.process.pid)
            worker.process.kill()
            worker.process.wait()

    def _say(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        try:
            self._report(self._state)
        except MlopsError as error:  # a full disk is no reason to stop answering
            _log.error("%s", error)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise MlopsError(f"Port {port} of {host} is in use.", "Name another: --port 8081.") from None
        raise UsageError(f"Cannot listen at {host}:{port}: {str(error).rstrip('.')}.") from None


def _received(control: socket.socket) -> str:
    """What a worker says; nothing when it is dead."""
    try:
        return control.recv(_MESSAGE_BYTES).decode(errors="replace")
    except ConnectionError:
        return ""


def _one_thread() -> dict[str, str]:
    """Our environment, with one thread for the libraries that would take one for each core: workers share them."""
    return {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}


def _make_twin(folder: Path) -> None:
    """Make the ONNX twin of a model if there is none; when that fails, the model is served without."""
    if (folder / TWIN_FILE).is_file() or not (folder / "code").is_dir():
        return
    command = [sys.executable, "-m", "mlops.serving.twin", str(folder)]
    try:
        done = subprocess.run(
            command, env=_one_thread(), capture_output=True, text=True, timeout=_TWIN_SECONDS, process_group=0
        )
    except subprocess.TimeoutExpired:
        _log.warning("no ONNX twin of the model: making it takes longer than %d s", _TWIN_SECONDS)
        return
    if done.returncode != 0:
        _log.warning("no ONNX twin of the model: %s", "".join(done.stderr.strip().splitlines()[-1:]))


@contextlib.contextmanager
def _signals(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """A socket that gives a byte, its number, for each of these signals that arrives."""
    ours, kernels = socket.socketpair()
    with ours, kernels:
        kernels.setblocking(False)
        previous = {number: signal.signal(number, lambda *_: None) for number in numbers}
        previous_descriptor = signal.set_wakeup_fd(kernels.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(previous_descriptor)
            for number, handler in previous.items():
                signal.signal(number, handler)
