"""The endpoint on this machine: one server per environment, with its state in `.mlops/endpoint/<environment>/`."""

import http.client
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from mlops.base import capture
from mlops.base.commands import MLOPS
from mlops.base.documents import parse_document
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import is_locked, locked, write_text
from mlops.endpoints.payload import max_payload_mb, payload_of
from mlops.endpoints.port import Deployment
from mlops.project.ranges import RANGES
from mlops.project.target import Target
from mlops.registry.archives import unpacked
from mlops.registry.port import Registry
from mlops.registry.versions import ModelVersion
from mlops.serving.settings import Settings
from mlops.serving.state import FAILED, LOCK_FILE, LOG_FILE, SETTINGS_FILE, STATE_FILE, State, end_holder
from mlops.store.local import LocalStore

HOST, PORT = "127.0.0.1", 8080
"""The default address of a server, reachable from this machine only."""

_ANY_ADDRESS = {"0.0.0.0": HOST, "::": "::1"}
"""The address of this machine at a server that listens on any; Python's servers on `::` do not take IPv4."""
_START_SECONDS = 30
_RESPONSE_SECONDS = 60
_STOP_SECONDS = 30
_POLL_SECONDS = 0.02
_LOG_LINES = 5


class _Refusal(TypedDict):
    error: str


@dataclass(frozen=True)
class LocalEndpoint:
    """The server of one environment (see `Endpoint`).

    Attributes:
        target: The environment whose versions it serves.
        registry: The registry of these versions.
    """

    target: Target
    registry: Registry

    @property
    def name(self) -> str:
        """The endpoint's name, which is part of the path of captured records."""
        return f"{self.target.project.slug}-{self.target.environment}"

    @property
    def folder(self) -> Path:
        """The folder of the server's state and log."""
        return self.target.project.state / "endpoint" / self.target.environment

    @property
    def log(self) -> Path:
        """The log of the background server."""
        return self.folder / LOG_FILE

    def describe(self) -> Deployment | None:
        """Describe the running server (see `Endpoint.describe`); the state file of a killed server is ignored."""
        state = self._state()
        return _deployment(state) if state else None

    def start(
        self, version: ModelVersion, *, host: str | None = None, port: int | None = None, workers: int | None = None
    ) -> Deployment:
        """Serve a version in the background, and wait until the server is ready.

        A running server keeps its address: its workers are replaced without losing a request.

        Args:
            version: The version.
            host: The address to listen on.
            port: The port to listen on.
            workers: The number of worker processes.

        Raises:
            MlopsError: The server does not start, or one is running at another address.
        """
        with locked(self.folder / "deploying", patience=0) as acquired:
            if not acquired:
                raise MlopsError(f"Another deployment to {self.name} is in progress.", "Try again when it is done.")
            running = self._state()
            if running and (host or running.host, port or running.port) != (running.host, running.port):
                raise MlopsError(
                    f"{self.name} is already served at {_deployment(running).url}.",
                    f"Stop it first: {MLOPS} serve --stop",
                )
            settings = self._settings(version, host, port, workers)
            log_end = self.log.stat().st_size if self.log.exists() else 0
            write_text(self.folder / SETTINGS_FILE, settings.as_json())
            if running:
                self._send(running, signal.SIGUSR1)
                process = None
            else:
                process = self._spawn()
            state = self._wait_for(settings, process, log_end)
            if state.failure:
                if state.status == FAILED:
                    self.stop()
                raise MlopsError(f"Version {version.version} cannot be served: {state.failure}", f"Log: {self.log}")
            return _deployment(state)

    def command(self, version: ModelVersion, *, host: str | None, port: int | None, workers: int | None) -> list[str]:
        """Return the command that serves a version in the foreground.

        Raises:
            MlopsError: A server is already running.
        """
        running = self._state()
        if running:
            raise MlopsError(
                f"{self.name} is already served: version {running.version} at {_deployment(running).url}.",
                f"Replace its model with --detach, or stop it: {MLOPS} serve --stop",
            )
        write_text(self.folder / SETTINGS_FILE, self._settings(version, host, port, workers).as_json())
        return self._command

    def stop(self) -> Deployment | None:
        """Stop the server once the requests in flight are answered.

        Returns:
            What it served; None if no server was running.

        Raises:
            MlopsError: The server does not stop.
        """
        state = self._state()
        if not state:
            return None
        self._send(state, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while is_locked(self.folder / LOCK_FILE):
            if time.monotonic() > deadline:
                raise MlopsError(f"The server (process {state.pid}) does not stop.", f"Kill it: kill -9 {state.pid}")
            time.sleep(_POLL_SECONDS)
        return _deployment(state)

    def advice(self, best: ModelVersion | None) -> str:
        """Return how to make the server serve the champion (see `Endpoint.advice`)."""
        serving = self.describe()
        if not serving:
            return ""
        if best and serving.version == best.version:
            return f"it is served at {serving.url}"
        action, option = ("replace", "--detach") if best else ("stop", "--stop")
        return f"version {serving.version} is still served; {action} it:  {MLOPS} serve {option}"

    def invoke(self, body: bytes, content_type: str, accept: str, inference_id: str = "") -> str:
        """Send a request and return the response (see `Endpoint.invoke`)."""
        state = self._state()
        if not state:
            raise MlopsError(f"{self.name} is not served.", f"Start a server: {MLOPS} serve --detach")
        headers = {"Content-Type": content_type, "Accept": accept}
        if inference_id:
            headers["X-Amzn-SageMaker-Inference-Id"] = inference_id
        try:
            connection = http.client.HTTPConnection(_reachable(state.host), state.port, timeout=_RESPONSE_SECONDS)
            with closing(connection):
                connection.request("POST", "/invocations", body, headers)
                response = connection.getresponse()
                text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:  # such as a damaged address
            raise MlopsError(f"The server at {_deployment(state).url} does not respond: {error}.") from None
        if response.status != http.client.OK:
            is_client_error = 400 <= response.status < 500
            raise (UsageError if is_client_error else MlopsError)(
                f"The server rejected the request ({response.status}): {_reason(text)}"
            )
        return text

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "mlops.serving", "--folder", str(self.folder)]

    def _state(self) -> State | None:
        """Return the state of the running server; None if none is running."""
        if not is_locked(self.folder / LOCK_FILE) or not (self.folder / STATE_FILE).exists():
            return None
        return State.read(self.folder)

    def _send(self, state: State, number: signal.Signals) -> None:
        """Send a signal to the running server.

        Raises:
            MlopsError: The process of its state is not known to be the server; nothing was sent.
        """
        if not state.process.send(number) and is_locked(self.folder / LOCK_FILE):
            raise MlopsError(
                f"{self.folder / STATE_FILE} names process {state.pid}, which is not known to be the server of "
                f"{self.name}: it was not started when the server was. No process was ended.",
                end_holder(self.folder),
            )

    def _settings(self, version: ModelVersion, host: str | None, port: int | None, workers: int | None) -> Settings:
        environment = self.target.settings
        optional: dict[str, Any] = {
            name: environment.number(f"serving.{name}")
            for name in ("write_timeout_seconds", "load_timeout_seconds")
            if not environment.missing(f"serving.{name}")
        }
        if workers is None and not environment.missing("serving.workers"):
            workers = environment.integer("serving.workers")
        settings = Settings(
            model=unpacked(self.registry, version, self.target.project.state / "models"),
            version=version.version,
            deployment=secrets.token_hex(8),
            host=host or HOST,
            port=PORT if port is None else port,
            workers=(os.cpu_count() or 1) if workers is None else workers,
            max_payload_mb=max_payload_mb(self.target),
            max_response_mb=payload_of(self.target).response,
            read_timeout_seconds=environment.number("serving.read_timeout_seconds"),
            **optional,
            capture_percentage=self.target.capture_percentage,
            metrics=bool(environment.missing("serving.metrics")) or environment.flag("serving.metrics"),
            capture=LocalStore.of(self.target).path(
                capture.prefix(environment["bucket"], self.target.project.slug, version.version, self.name)
            ),
        )
        allowed = RANGES["serving.workers"]
        if not allowed.least <= settings.workers <= allowed.most:
            raise UsageError(f"A server cannot have {settings.workers} workers.", f"Use {allowed}.")
        return settings

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=self.target.project.root, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _wait_for(self, settings: Settings, process: "subprocess.Popen[bytes] | None", log_end: int) -> State:
        """Wait until the server has completed a deployment, and return its state.

        Args:
            settings: The settings that are deployed.
            process: The server process, if it was started for this deployment.
            log_end: The size of the log before the deployment, in bytes.

        Raises:
            MlopsError: The server exited, or takes too long.
        """
        patience = _START_SECONDS + 2 * settings.load_timeout_seconds  # the model is also loaded to create its twin
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            ended = process.poll() is not None if process else not is_locked(self.folder / LOCK_FILE)
            state = self._state()
            if state and state.deployment == settings.deployment:
                return state
            if ended:
                raise MlopsError(f"The server exited.\n{self._log_tail(log_end)}", f"Full log: {self.log}")
            time.sleep(_POLL_SECONDS)
        raise MlopsError(f"The server is not ready after {patience:g} s.", f"Log: {self.log}")

    def _log_tail(self, log_end: int) -> str:
        with self.log.open("rb") as stream:
            stream.seek(log_end)
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-_LOG_LINES:])


def _deployment(state: State) -> Deployment:
    reachable = replace(state, host=_reachable(state.host))
    return Deployment(state.version, f"http://{reachable.address}", state.status, state.started)


def _reachable(host: str) -> str:
    return _ANY_ADDRESS.get(host, host)


def _reason(text: str) -> str:
    try:
        return parse_document(text, _Refusal, "The response is not a refusal", "")["error"]
    except MlopsError:
        return text
