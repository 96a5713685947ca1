"""Ends connections whose request does not arrive in time: uvicorn itself waits for ever.

Looking at all connections now and then costs a request nothing, unlike a timer for each.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

_LOOKS_PER_DEADLINE = 10
_LONGEST_BETWEEN_LOOKS = 1.0
_BODY = b'{"error": "the request did not arrive in time"}'
_ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Deadlines:
    """Watches the connections of a uvicorn server.

    Attributes:
        ended: How many connections were ended.
    """

    def __init__(self, connections: Iterable[Any], seconds: float) -> None:
        """Watch connections.

        Args:
            connections: The server's protocols (`server_state.connections`), as they are at each look.
            seconds: How long a request may take to arrive, from its first byte or the opening of its connection.
        """
        self.ended = 0
        self._connections = connections
        self._seconds = seconds
        self._since: dict[Any, tuple[object, float]] = {}

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(min(self._seconds / _LOOKS_PER_DEADLINE, _LONGEST_BETWEEN_LOOKS))
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """End the connections that have waited for the rest of one and the same request for too long."""
        since: dict[Any, tuple[object, float]] = {}
        for connection in self._connections:
            if _is_receiving(connection):
                request, first_seen = self._since.get(connection, (None, now))
                since[connection] = (connection.cycle, first_seen if request is connection.cycle else now)
        self._since = since
        for connection, (_, first_seen) in since.items():
            if now - first_seen > self._seconds and not connection.transport.is_closing():
                self.ended += 1
                connection.transport.write(_ANSWER)
                connection.transport.close()


def _is_receiving(connection: Any) -> bool:
    """Whether a request is under way to us: not while it is answered, nor between requests of a kept connection."""
    cycle = connection.cycle
    if cycle is None or cycle.response_complete:
        return connection.timeout_keep_alive_task is None
    return bool(cycle.more_body) and not connection.pipeline
