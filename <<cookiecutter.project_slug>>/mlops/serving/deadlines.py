"""Deadlines: for the arrival of a request, for taking its response, and for idle connections.

All connections are checked periodically, which is cheaper than timers for each request.
"""

import asyncio
import logging
from collections.abc import Iterable

from mlops.serving.negotiation import RefusalError
from mlops.serving.settings import Settings
from mlops.serving.transport import HttpProtocol, Phase

KEEP_ALIVE_SECONDS = 75.0
"""How long a connection may be idle after a response."""

LINGER_SECONDS = 2.0
"""How long the server reads and ignores what a client sends after it has been refused."""

_CHECKS_PER_DEADLINE = 10
_LONGEST_CHECK_INTERVAL = 1.0
_log = logging.getLogger(__name__)


class Deadlines:
    """Enforces the deadlines of a server's connections.

    Attributes:
        untaken: The number of connections closed because the client did not take a response.
    """

    def __init__(self, connections: Iterable[HttpProtocol], settings: Settings) -> None:
        """Set the deadlines.

        Args:
            connections: The server's protocols, a live collection.
            settings: The settings of the server.
        """
        self.untaken = 0
        self._connections = connections
        self._read_seconds = settings.read_timeout_seconds
        self._write_seconds = settings.write_timeout_seconds
        self._unsent: dict[HttpProtocol, tuple[int, float]] = {}

    async def watch(self) -> None:
        """Check periodically until cancelled."""
        shortest = min(self._read_seconds, self._write_seconds)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(shortest / _CHECKS_PER_DEADLINE, _LONGEST_CHECK_INTERVAL))
            self.check(loop.time())

    def check(self, now: float) -> None:
        """End the connections that are overdue."""
        connections = list(self._connections)
        self._check_unsent(connections, now)
        for connection in connections:
            passed = now - connection.since
            if connection.phase is Phase.ARRIVING:
                if passed > self._read_seconds:
                    connection.refuse(RefusalError(408, "the request did not arrive in time"))
            elif (connection.phase is Phase.IDLE and passed > KEEP_ALIVE_SECONDS) or (
                connection.phase is Phase.ENDING and passed > LINGER_SECONDS
            ):
                connection.transport.close()

    def _check_unsent(self, connections: Iterable[HttpProtocol], now: float) -> None:
        """Abort the connections that still have unsent what was to be sent a deadline ago."""
        unsent: dict[HttpProtocol, tuple[int, float]] = {}
        for connection in connections:
            size = connection.transport.get_write_buffer_size()
            if size:
                goal, since = self._unsent.get(connection, (connection.sent, now))
                if connection.sent - size >= goal:
                    goal, since = connection.sent, now
                unsent[connection] = goal, since
                if now - since > self._write_seconds:
                    self.untaken += 1
                    _log.warning(
                        "closed a connection: the client did not take its response within %g s", self._write_seconds
                    )
                    connection.transport.abort()
        self._unsent = unsent
