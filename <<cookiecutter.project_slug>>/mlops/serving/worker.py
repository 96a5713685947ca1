"""A worker process: load the model, then serve it on the supervisor's socket until stopped.

`python -m mlops.serving.worker SETTINGS LISTENER CONTROL METRICS SLOT` takes the settings as JSON, three inherited file
descriptors and the number of its slot in the metrics. It sends `READY`, or the reason why there is no model, over the
control socket, and stops when its other end is closed.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
import time

import uvicorn

from mlops.base.errors import MlopsError
from mlops.base.payloads import MEGABYTE
from mlops.serving import logs
from mlops.serving.app import Application
from mlops.serving.deadlines import Deadlines
from mlops.serving.engine import Engine, load
from mlops.serving.metrics import Metrics
from mlops.serving.recorder import Recorder
from mlops.serving.settings import Settings
from mlops.serving.state import READY
from mlops.serving.transport import HttpProtocol

_KEEP_ALIVE_SECONDS = 75
_DRAIN_SECONDS = 1.0
_POLL_SECONDS = 0.02
_CLOSE_HEADER = (b"connection", b"close")
_log = logging.getLogger("mlops.serving")


def http_server(application: Application, settings: Settings) -> uvicorn.Server:
    """Create the HTTP server on the fastest transport, uvloop and httptools, regardless of uvicorn's defaults."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            loop="uvloop",
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
    )


def main(arguments: list[str]) -> int:
    """Serve until the supervisor closes the control socket or exits; return 0."""
    settings = Settings.from_json(arguments[0])
    listener, control = (socket.socket(fileno=int(number)) for number in arguments[1:3])
    metrics = Metrics(int(arguments[3]), int(arguments[4]))
    logs.set_up()
    engine = _load(settings)
    recorder = None
    if settings.capture and settings.capture_percentage > 0 and isinstance(engine, Engine):
        recorder = Recorder(settings.capture, metrics.set_records)
    largest_body = int(settings.max_payload_mb * MEGABYTE)
    application = Application(
        engine,
        largest_body,
        recorder,
        settings.capture_percentage / 100,
        metrics,
        shows_metrics=settings.metrics,
        largest_response=None if settings.max_response_mb is None else int(settings.max_response_mb * MEGABYTE),
    )
    gc.freeze()  # exclude the objects of libraries and model from every collection
    control.sendall((READY if isinstance(engine, Engine) else engine).encode())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # uvicorn handles them, and raises them again when it is done
    http = http_server(application, settings)
    deadlines = Deadlines(http.server_state.connections, settings.read_timeout_seconds, metrics.count_response)
    try:
        with asyncio.Runner(loop_factory=http.config.get_loop_factory()) as runner:
            runner.run(_serve(http, deadlines, listener, control))
    finally:
        if recorder:
            recorder.close()
    _log.info(_summary(application, deadlines, recorder))
    return 0


def _load(settings: Settings) -> Engine | str:
    try:
        return load(settings.model)
    except MlopsError as error:
        _log.exception("no model to serve: %s", error)
        return error.message


async def _serve(http: uvicorn.Server, deadlines: Deadlines, listener: socket.socket, control: socket.socket) -> None:
    def stop() -> None:
        stopping.set()
        loop.remove_reader(control)

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(control, stop)
    tasks = [loop.create_task(deadlines.watch()), loop.create_task(_drain(http, stopping))]
    await http.serve([listener])
    for task in tasks:
        task.cancel()


async def _drain(http: uvicorn.Server, stopping: asyncio.Event) -> None:
    """Accept no more connections, let open ones finish for a moment, then stop."""
    await stopping.wait()
    if http.started:
        for server in http.servers:
            server.close()
        http.config.encoded_headers.append(_CLOSE_HEADER)
        http.server_state.default_headers = [*http.server_state.default_headers, _CLOSE_HEADER]
        deadline = time.monotonic() + _DRAIN_SECONDS
        while http.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
    http.should_exit = True


def _summary(application: Application, deadlines: Deadlines, recorder: Recorder | None) -> str:
    refused = ", ".join(f"{count} with {status}" for status, count in sorted(application.refused.items()))
    parts = [f"answered {application.answered} requests", f"refused {refused or 'none'}"]
    if deadlines.ended:
        parts.append(f"closed {deadlines.ended} that did not arrive in time")
    if recorder:
        parts.append(f"captured {recorder.written}" + (f", lost {recorder.lost}" if recorder.lost else ""))
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
