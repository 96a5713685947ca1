"""The HTTP server of a worker: uvicorn's, with a stop that loses no connection."""

import asyncio
import functools
import select
import socket
from collections.abc import Iterable
from types import FrameType
from typing import cast

import uvicorn

from mlops.serving.app import Application
from mlops.serving.settings import Settings
from mlops.serving.transport import HttpProtocol, Phase, Traffic

QUIET_SECONDS = 0.3
"""When the server stops, connections are accepted until there has been none for this long."""

IDLE_SECONDS = 1.0
"""How long a worker that stops keeps connections that are idle after a response."""

FRESH_SECONDS = 5.0
"""How long a worker that stops waits for the first request of a connection."""

_POLL_SECONDS = 0.02


class HttpServer(uvicorn.Server):
    """The HTTP server.

    Attributes:
        traffic: What its connections have in common.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        """Create the server on the fastest transport, uvloop and httptools, regardless of uvicorn's defaults."""
        self.traffic = Traffic(application.refused, application.metrics.count_response)
        self._grace_seconds = settings.shutdown_seconds
        self._is_last = True
        super().__init__(
            uvicorn.Config(
                application,
                loop="uvloop",
                http=functools.partial(HttpProtocol, traffic=self.traffic),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )

    @property
    def connections(self) -> Iterable[HttpProtocol]:
        """The open connections, a live collection."""
        return cast("set[HttpProtocol]", self.server_state.connections)

    def stop(self, *, is_last: bool) -> None:
        """Stop serving.

        Args:
            is_last: Whether nobody else accepts the connections that wait on the socket.
        """
        self._is_last = is_last
        self.traffic.leaving = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on SIGTERM and SIGINT."""
        self.stop(is_last=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the last connections, finish the requests, and close; uvicorn calls this at the end."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        deadline = begun + self._grace_seconds
        if self._is_last:
            for listener in sockets or []:
                await self._accept_the_last(listener, deadline - IDLE_SECONDS)
        for server in self.servers:
            server.close()
        while loop.time() < deadline and any(_is_needed(each, begun, loop.time()) for each in self.connections):
            await asyncio.sleep(_POLL_SECONDS)
        self.config.timeout_graceful_shutdown = max(0, deadline - loop.time())  # type: ignore[assignment]
        await super().shutdown(sockets)

    async def _accept_the_last(self, listener: socket.socket, deadline: float) -> None:
        """Let the event loop accept connections until there are no more; at the deadline, accept those that wait."""
        loop = asyncio.get_running_loop()
        waiting = select.poll()
        waiting.register(listener, select.POLLIN)
        accepted, since = -1, 0.0
        while (now := loop.time()) < deadline:
            if accepted != self.traffic.accepted or waiting.poll(0):
                accepted, since = self.traffic.accepted, now
            elif now - since > QUIET_SECONDS:
                return
            await asyncio.sleep(_POLL_SECONDS)
        while waiting.poll(0):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:  # another worker was faster
                continue
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> HttpProtocol:
        return HttpProtocol(self.config, self.server_state, {}, traffic=self.traffic)


def _is_needed(connection: HttpProtocol, begun: float, now: float) -> bool:
    """Return whether a connection must be kept open while the worker stops.

    Args:
        connection: The connection.
        begun: When the stop began.
        now: The current time.
    """
    if connection.phase is Phase.IDLE:
        return now - max(begun, connection.since) < IDLE_SECONDS
    return not connection.is_fresh or now - connection.since < FRESH_SECONDS
