"""Supervise the workers: start them, restart those that die, and replace all of them when the settings change.

They accept connections from one socket that this process keeps open, so that none is lost while workers are replaced.
Workers are spawned, not forked: the threads of the model's libraries do not survive a fork.
"""

import contextlib
import errno
import importlib.util
import logging
import math
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
from typing import IO, Any

from mlops.base import twin_file
from mlops.base.errors import MlopsError, UsageError
from mlops.base.processes import Process
from mlops.serving.metrics import Ledger
from mlops.serving.settings import Settings
from mlops.serving.state import CREATING, FAILED, IN_SERVICE, READY, RETIRE, UPDATING, State

UPDATE = signal.SIGUSR1
"""The signal to reload the settings."""

RESTART_SECONDS = 0.5
"""The delay before a worker is restarted, so that a crash loop does not keep the machine busy."""

GRACE_SECONDS = 5
"""A worker that has not exited this long after its deadline for requests is killed."""

_TRANSPORT = ("uvicorn", "uvloop", "httptools")
_BACKLOG = 2048
_MESSAGE_BYTES = 64 * 1024
_TWIN_SECONDS = 120
_log = logging.getLogger("mlops.serving")


@dataclass(eq=False)
class Worker:
    """A worker process.

    Attributes:
        settings: What it was started with.
        process: The process.
        control: This end of its control socket.
        slot: The number of its slot in the metrics.
        deadline: When it is killed unless it has loaded the model, or exited, by then.
        outcome: Its message about its start; empty until it arrives.
        is_killed: Whether it has been killed.
    """

    settings: Settings
    process: "subprocess.Popen[bytes]"
    control: socket.socket
    slot: int
    deadline: float
    outcome: str = ""
    is_killed: bool = False

    @classmethod
    def start(cls, settings: Settings, listener: socket.socket, ledger: Ledger, reason: str) -> "Worker":
        """Start a worker in its own process group, because Ctrl-C is for the supervisor.

        Args:
            settings: What it is started with.
            listener: The socket whose connections it accepts.
            ledger: The memory that it counts in.
            reason: Why it is not to load the model, for its responses; empty to load it.
        """
        ours, theirs = socket.socketpair()
        slot = ledger.take(settings.version)
        descriptors = (listener.fileno(), theirs.fileno(), ledger.descriptor)
        arguments = (settings.as_json(), *map(str, (*descriptors, slot)), reason)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "mlops.serving.worker", *arguments],
                env=_one_thread(), pass_fds=descriptors, process_group=0,
            )  # fmt: skip
        return cls(settings, process, ours, slot, time.monotonic() + settings.load_timeout_seconds)

    def end(self, message: str = "") -> None:
        """Stop it after its requests in flight; unlike a signal, this cannot arrive before the worker can handle it.

        Args:
            message: `RETIRE` if other workers accept what it leaves; empty if the whole server stops.
        """
        with contextlib.suppress(OSError):  # it is dead
            self.control.sendall(message.encode())
            self.control.shutdown(socket.SHUT_WR)
        self.deadline = time.monotonic() + self.settings.shutdown_seconds + GRACE_SECONDS

    def kill(self) -> None:
        """Kill it."""
        self.is_killed = True
        self.deadline = math.inf
        self.process.kill()


@dataclass(eq=False)
class TwinMaker:
    """A process that creates the ONNX twin of a model.

    Attributes:
        process: The process.
        deadline: When it is killed.
        output: The end of what it wrote to standard error.
    """

    process: "subprocess.Popen[bytes]"
    deadline: float
    output: bytes = b""

    @classmethod
    def start(cls, settings: Settings) -> "TwinMaker | None":
        """Start it, if the model has no twin or a changed one."""
        folder = settings.model
        if twin_file.is_intact(folder) or not (folder / "code").is_dir():
            return None
        command = [sys.executable, "-m", "mlops.serving.twin", str(folder)]
        process = subprocess.Popen(
            command, env=_one_thread(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
        )
        return cls(process, time.monotonic() + min(_TWIN_SECONDS, settings.load_timeout_seconds))

    @property
    def pipe(self) -> IO[bytes]:
        """Its standard error, which is closed when it exits."""
        assert self.process.stderr
        return self.process.stderr

    def end(self, reason: str = "") -> None:
        """Close it, and log why it made no twin, if so; the model is then served without one.

        Args:
            reason: Why it is killed; empty if it has closed its standard error, so that it exits.
        """
        if reason:
            self.process.kill()
        self.pipe.close()
        if self.process.wait() != 0:
            last_line = "".join(self.output.decode(errors="replace").strip().splitlines()[-1:])
            _log.warning("no ONNX twin of the model: %s", reason or last_line)


class Supervisor:
    """The workers of one server.

    SIGUSR1 reloads the settings and replaces the workers; if the new workers fail, the old ones are kept.
    SIGTERM, SIGINT and SIGHUP stop the server. Address and port are fixed at the start.
    """

    def __init__(self, read: Callable[[], Settings], report: Callable[[State], None]) -> None:
        """Open the socket.

        Args:
            read: Reads the settings.
            report: Called with the state whenever it changes.

        Raises:
            MlopsError: The settings cannot be read, a library is missing, or the port is in use.
        """
        for name in _TRANSPORT:
            if importlib.util.find_spec(name) is None:
                raise MlopsError(f"The server needs {name}, which is not installed.", "Install it: `make setup`.")
        self._read = read
        self._report = report
        self._requested: Settings | None = read()
        self._decided: Settings | None = None  # accepted or rejected; other workers are still exiting
        self._current: Settings | None = None
        self._ledger = Ledger()
        self._listener = _listen(self._requested.host, self._requested.port)
        host, port = self._listener.getsockname()[:2]
        started = datetime.now(UTC).isoformat(timespec="seconds")
        this = Process.of(os.getpid())
        self._state = State(
            this.pid, started, CREATING, host, port, 0, self._requested.version, "", process_started=this.started
        )
        self._workers: list[Worker] = []
        self._twin_maker: TwinMaker | None = None  # the workers of the requested settings wait for it
        self._failure = ""
        self._unloadable = ""  # why the current settings' model is not to be loaded again
        self._is_healthy = False
        self._update_again = False
        self._restart_at: float | None = None
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Serve until stopped; return 0."""
        with _signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, UPDATE) as arrived:
            self._selector.register(arrived, selectors.EVENT_READ)
            self._set_state(status=CREATING)
            self._start_requested()
            while not self._stopping:
                self._handle_events()
                self._restart()
            self._end()
        return 0

    def _handle_events(self) -> None:
        """Wait for events or a deadline, and handle them."""
        for key, _ in self._selector.select(self._timeout()):
            if isinstance(key.data, Worker):
                self._receive(key.data)
            elif isinstance(key.data, TwinMaker):
                self._read_from(key.data)
            else:
                self._handle_signals(key.fileobj)
        self._kill_overdue()
        if self._stopping:
            return
        if (
            self._requested
            and not self._twin_maker
            and all(worker.outcome for worker in self._workers_of(self._requested))
        ):
            self._decide(self._requested)
        if self._decided and len(self._workers) == len(self._workers_of(self._current)):
            self._complete(self._decided)

    def _timeout(self) -> float | None:
        deadlines = [worker.deadline for worker in self._workers]
        if self._twin_maker:
            deadlines.append(self._twin_maker.deadline)
        if self._restart_at is not None and self._current and not self._stopping:
            deadlines.append(self._restart_at)
        earliest = min(deadlines, default=math.inf)
        return None if earliest == math.inf else max(0.0, earliest - time.monotonic())

    def _kill_overdue(self) -> None:
        """Kill the workers that have not loaded their model, or not exited, by their deadline."""
        now = time.monotonic()
        for worker in self._workers:
            if now < worker.deadline:
                continue
            reason = "it does not stop"
            if not worker.outcome:
                reason = f"The model did not load within {worker.settings.load_timeout_seconds:g} s."
                worker.outcome = self._failure = reason
                if worker.settings is self._requested:
                    self._unloadable = reason
            _log.error("killing worker %d: %s", worker.process.pid, reason)
            worker.kill()
        if self._twin_maker and now >= self._twin_maker.deadline:
            self._end_twin_maker(self._twin_maker, "creating it takes too long")

    def _workers_of(self, settings: Settings | None) -> list[Worker]:
        return [worker for worker in self._workers if worker.settings is settings]

    def _handle_signals(self, arrived: Any) -> None:
        for number in arrived.recv(_MESSAGE_BYTES):
            if number == UPDATE:
                self._update()
            else:
                self._stopping = True

    def _receive(self, worker: Worker) -> None:
        """Handle a worker's message about its start, or its exit."""
        message = _received(worker.control)
        if message:
            if worker.is_killed:
                return
            worker.outcome, worker.deadline = message, math.inf
            if message != READY:
                self._failure = message
                return
            self._ledger.set_ready(worker.slot)
            if worker.settings is self._current:  # a restarted worker
                self._set_state(status=IN_SERVICE, failure="")
            return
        self._selector.unregister(worker.control)
        worker.control.close()
        self._workers.remove(worker)
        status = worker.process.wait()
        is_needed = worker.settings is self._requested or worker.settings is self._current
        self._ledger.release(worker.slot, expected=self._stopping or not is_needed)
        if not self._stopping and is_needed:
            self._restart_at = time.monotonic() + RESTART_SECONDS
            if not worker.is_killed:
                self._failure = f"A worker exited with status {status}."
                _log.error("worker %d exited with status %d", worker.process.pid, status)

    def _read_from(self, maker: TwinMaker) -> None:
        """Read what the maker of the twin says, up to its exit."""
        said = os.read(maker.pipe.fileno(), _MESSAGE_BYTES)
        maker.output = (maker.output + said)[-_MESSAGE_BYTES:]
        if not said:
            self._end_twin_maker(maker)

    def _end_twin_maker(self, maker: TwinMaker, reason: str = "") -> None:
        self._selector.unregister(maker.pipe)
        maker.end(reason)
        self._twin_maker = None
        if not self._stopping:
            self._start_workers()

    def _update(self) -> None:
        if self._requested or self._decided:
            self._update_again = True
            return
        try:
            self._requested = replace(self._read())  # a new object, by which its workers are identified
        except MlopsError as error:
            self._set_state(failure=error.message)
            return
        self._set_state(status=UPDATING)
        self._start_requested()

    def _start_requested(self) -> None:
        """Start the workers of the requested settings."""
        assert self._requested
        self._failure = self._unloadable = ""
        self._twin_maker = TwinMaker.start(self._requested)
        if self._twin_maker:
            self._selector.register(self._twin_maker.pipe, selectors.EVENT_READ, self._twin_maker)
        else:
            self._start_workers()

    def _start_workers(self) -> None:
        assert self._requested
        for _ in range(self._requested.workers):
            self._start(self._requested)

    def _start(self, settings: Settings, reason: str = "") -> None:
        worker = Worker.start(settings, self._listener, self._ledger, reason)
        self._workers.append(worker)
        self._selector.register(worker.control, selectors.EVENT_READ, worker)

    def _decide(self, tried: Settings) -> None:
        """Accept the requested settings or reject them, now that all of their workers have reported."""
        self._requested = None
        leaving: Settings | None
        if self._failure and self._is_healthy:
            leaving, self._unloadable = tried, ""
            _log.error("version %d is not put into service: %s", tried.version, self._failure)
        else:
            leaving, self._current, self._is_healthy = self._current, tried, not self._failure
        for worker in self._workers_of(leaving):
            worker.end(RETIRE)
        self._decided = tried

    def _complete(self, tried: Settings) -> None:
        """Report the outcome of an update, now that the other workers have exited and serve no more requests."""
        self._decided = None
        assert self._current
        status, version = IN_SERVICE if self._is_healthy else FAILED, self._current.version
        self._set_state(
            status=status, version=version, workers=self._current.workers, deployment=tried.deployment,
            failure=self._failure,
        )  # fmt: skip
        _log.info("version %d at http://%s is %s", version, self._state.address, status)
        if self._update_again:
            self._update_again = False
            self._update()

    def _restart(self) -> None:
        """Start the missing current workers, once the delay is over."""
        if self._current and self._restart_at is not None and time.monotonic() >= self._restart_at:
            self._restart_at = None
            for _ in range(self._current.workers - len(self._workers_of(self._current))):
                self._start(self._current, self._unloadable)

    def _end(self) -> None:
        self._listener.close()
        if self._twin_maker:
            self._end_twin_maker(self._twin_maker, "the server stops")
        for worker in self._workers:
            if worker.outcome:
                worker.end()
            else:  # it serves nothing yet
                worker.kill()
        while self._workers:
            self._handle_events()

    def _set_state(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        try:
            self._report(self._state)
        except MlopsError as error:  # keep serving, even if the disk is full
            _log.error("%s", error)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, ValueError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise MlopsError(f"Port {port} of {host} is in use.", "Choose another, for example --port 8081.") from None
        raise UsageError(f"Cannot listen on {host}:{port}: {str(error).rstrip('.')}.") from None


def _received(control: socket.socket) -> str:
    """Read the message of a worker; empty if it has exited."""
    try:
        return control.recv(_MESSAGE_BYTES).decode(errors="replace")
    except ConnectionError:
        return ""


def _one_thread() -> dict[str, str]:
    """Return the environment, with one thread for libraries that default to one per core: workers share the cores."""
    return {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}


@contextlib.contextmanager
def _signals(*numbers: signal.Signals) -> Iterator[socket.socket]:
    """Provide a socket that receives one byte, the signal number, for each of these signals."""
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
