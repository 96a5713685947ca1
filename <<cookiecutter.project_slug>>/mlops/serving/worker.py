"""A worker process: load the model, then serve it on the supervisor's socket until stopped.

`python -m mlops.serving.worker SETTINGS LISTENER CONTROL METRICS SLOT REASON` takes the settings as JSON, three
inherited file descriptors, the number of its slot in the metrics, and the reason why the model is not to be loaded, or
nothing. It sends `READY`, or the reason why there is no model, over the control socket. It stops when it receives
`RETIRE` or the other end is closed.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys

from mlops.base.errors import MlopsError
from mlops.base.payloads import MEGABYTE
from mlops.serving import logs
from mlops.serving.app import Application
from mlops.serving.deadlines import Deadlines
from mlops.serving.engine import Engine, load
from mlops.serving.metrics import Metrics
from mlops.serving.recorder import Recorder
from mlops.serving.server import HttpServer
from mlops.serving.settings import Settings
from mlops.serving.state import READY, RETIRE

_MESSAGE_BYTES = 64
_log = logging.getLogger("mlops.serving")


def main(arguments: list[str]) -> int:
    """Serve until the supervisor closes the control socket or exits; return 0."""
    settings = Settings.from_json(arguments[0])
    listener, control = (socket.socket(fileno=int(number)) for number in arguments[1:3])
    metrics = Metrics(int(arguments[3]), int(arguments[4]))
    logs.set_up()
    engine = arguments[5] or _load(settings)
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
        signal.signal(number, signal.SIG_IGN)  # while it serves, uvicorn handles them
    http = HttpServer(application, settings)
    deadlines = Deadlines(http.connections, settings)
    try:
        with asyncio.Runner(loop_factory=http.config.get_loop_factory()) as runner:
            runner.run(_serve(http, deadlines, listener, control))
    finally:
        if recorder:
            recorder.close()
        control.detach()  # so that it is closed by the exit of this process, for which the supervisor waits then
    _log.info(_summary(application, http, deadlines, recorder))
    return 0


def _load(settings: Settings) -> Engine | str:
    try:
        return load(settings.model)
    except MlopsError as error:
        _log.exception("no model to serve: %s", error)
        return error.message


async def _serve(http: HttpServer, deadlines: Deadlines, listener: socket.socket, control: socket.socket) -> None:
    def stop() -> None:
        loop.remove_reader(control)
        try:
            message = control.recv(_MESSAGE_BYTES)
        except ConnectionError:  # the supervisor was killed
            message = b""
        http.stop(is_last=message != RETIRE.encode())

    loop = asyncio.get_running_loop()
    loop.add_reader(control, stop)
    watching = loop.create_task(deadlines.watch())
    await http.serve([listener])
    watching.cancel()


def _summary(application: Application, http: HttpServer, deadlines: Deadlines, recorder: Recorder | None) -> str:
    refused = ", ".join(f"{count} with {status}" for status, count in sorted(application.refused.items()))
    parts = [f"answered {application.answered} requests", f"refused {refused or 'none'}"]
    if deadlines.untaken:
        parts.append(f"closed {deadlines.untaken} connections that did not take their response")
    if http.traffic.descriptors.closed:
        parts.append(f"closed {http.traffic.descriptors.closed} idle connections for their file descriptors")
    if recorder:
        parts.append(f"captured {recorder.written}" + (f", lost {recorder.lost}" if recorder.lost else ""))
    return "; ".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
