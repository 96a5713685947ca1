"""A process that answers requests: loads the model, then serves on the supervisor's socket until told to end.

`python -m mlops.serving.worker SETTINGS LISTENER CONTROL`: the settings as JSON, and two inherited file descriptors. It
sends its outcome over the control socket, `READY` or why there is no model, and ends when the other end is shut.
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
from mlops.serving import logs
from mlops.serving.app import Application
from mlops.serving.deadlines import Deadlines
from mlops.serving.engine import Engine, load
from mlops.serving.recorder import Recorder
from mlops.serving.settings import MEGABYTE, Settings
from mlops.serving.state import READY
from mlops.serving.transport import HttpProtocol

_KEEP_ALIVE_SECONDS = 75
_LEAVE_SECONDS = 1.0
_POLL_SECONDS = 0.02
_LAST_ANSWER = (b"connection", b"close")
_log = logging.getLogger("mlops.serving")


def http_server(application: Application, settings: Settings) -> uvicorn.Server:
    """The HTTP server, on the transport that makes it fast: uvloop and httptools, whatever else is installed."""
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
    """Serve until the supervisor says SIGTERM or goes away; 0."""
    settings = Settings.from_json(arguments[0])
    listener, control = (socket.socket(fileno=int(number)) for number in arguments[1:])
    logs.set_up()
    engine = _load(settings)
    recorder = None
    if settings.capture and settings.capture_percentage > 0 and isinstance(engine, Engine):
        recorder = Recorder(settings.capture)
    largest_body = int(settings.max_payload_mb * MEGABYTE)
    application = Application(engine, largest_body, recorder, settings.capture_percentage / 100)
    gc.freeze()  # what the libraries and the model consist of need not be looked at again and again
    control.sendall((READY if isinstance(engine, Engine) else engine).encode())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # uvicorn takes them, and when it is done raises them once more
    http = http_server(application, settings)
    deadlines = Deadlines(http.server_state.connections, settings.read_timeout_seconds)
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
        _log.exception("there is no model to serve: %s", error)
        return error.message


async def _serve(http: uvicorn.Server, deadlines: Deadlines, listener: socket.socket, control: socket.socket) -> None:
    def end() -> None:
        told_to_end.set()
        loop.remove_reader(control)

    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(control, end)
    tasks = [loop.create_task(deadlines.watch()), loop.create_task(_leave(http, told_to_end))]
    await http.serve([listener])
    for task in tasks:
        task.cancel()


async def _leave(http: uvicorn.Server, told_to_end: asyncio.Event) -> None:
    """Accept no more connections, give those that are open a moment to be used once more, then end."""
    await told_to_end.wait()
    if http.started:
        for server in http.servers:
            server.close()
        http.config.encoded_headers.append(_LAST_ANSWER)
        http.server_state.default_headers = [*http.server_state.default_headers, _LAST_ANSWER]
        deadline = time.monotonic() + _LEAVE_SECONDS
        while http.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
    http.should_exit = True


def _summary(application: Application, deadlines: Deadlines, recorder: Recorder | None) -> str:
    refused = ", ".join(f"{count} with {status}" for status, count in sorted(application.refused.items()))
    parts = [f"answered {application.answered} requests", f"refused {refused or 'none'}"]
    if deadlines.ended:
        parts.append(f"gave up {deadlines.ended} that did not arrive in time")
    if recorder:
        parts.append(f"captured {recorder.written}" + (f", lost {recorder.lost}" if recorder.lost else ""))
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
