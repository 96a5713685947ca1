"""Request deadlines: close connections whose request does not arrive in time. uvicorn itself waits forever.

All connections are checked periodically, which is cheaper than one timer per request.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

_CHECKS_PER_DEADLINE = 10
_LONGEST_CHECK_INTERVAL = 1.0
_BODY = b'{"error": "the request did not arrive in time"}'
_RESPONSE = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Deadlines:
    """Enforces the deadlines of a uvicorn server's requests.

    Attributes:
        ended: The number of connections that were closed.
    """

    def __init__(
        self, connections: Iterable[Any], seconds: float, count: Callable[[int], None] = lambda _: None
    ) -> None:
        """Set the deadline.

        Args:
            connections: The server's protocols (`server_state.connections`), a live collection.
            seconds: How long a request may take to arrive, from its first byte or the opening of its connection.
            count: Called with the status of each response.
        """
        self.ended = 0
        self._connections = connections
        self._seconds = seconds
        self._count = count
        self._since: dict[Any, tuple[object, float]] = {}

    async def watch(self) -> None:
        """Check periodically until cancelled."""
        while True:
            await asyncio.sleep(min(self._seconds / _CHECKS_PER_DEADLINE, _LONGEST_CHECK_INTERVAL))
            self.check(time.monotonic())

    def check(self, now: float) -> None:
        """Close the connections whose current request is overdue."""
        since: dict[Any, tuple[object, float]] = {}
        for connection in self._connections:
            if _is_receiving(connection):
                request, first_seen = self._since.get(connection, (None, now))
                since[connection] = (connection.cycle, first_seen if request is connection.cycle else now)
        self._since = since
        for connection, (_, first_seen) in since.items():
            if now - first_seen > self._seconds and not connection.transport.is_closing():
                self.ended += 1
                self._count(408)
                connection.transport.write(_RESPONSE)
                connection.transport.close()


def _is_receiving(connection: Any) -> bool:
    """Return whether a request is arriving: not while it is processed, nor while the connection is idle."""
    cycle = connection.cycle
    if cycle is None or cycle.response_complete:
        return connection.timeout_keep_alive_task is None
    return bool(cycle.more_body) and not connection.pipeline
