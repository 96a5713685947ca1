"""The file descriptors of a worker: as many as the system allows, with some kept in reserve.

When they have run out, the event loop closes new connections without an answer or a message. The server makes room
before that: it closes idle connections.
"""

import asyncio
import logging
import resource
from contextlib import suppress
from pathlib import Path

RESERVED = 32
"""The descriptors kept for files, and for connections accepted before others have been closed."""

WANTED = 65536
"""The number of descriptors that the limit is raised to, if the system allows as many."""

_log = logging.getLogger(__name__)


class Descriptors:
    """The file descriptors of this process.

    Attributes:
        limit: How many there may be.
        closed: The number of idle connections closed to make room.
    """

    def __init__(self) -> None:
        """Raise the limit as far as the system allows."""
        self.closed = 0
        self.limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
        if self.limit < wanted:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                self.limit = wanted
        self._available = self.limit - min(RESERVED, self.limit // 8)
        self._used = len(list(Path("/dev/fd").iterdir()))

    def are_short(self, transport: asyncio.Transport, connections: int) -> bool:
        """Return whether the reserve is needed.

        Args:
            transport: The transport of a new connection. The system assigns the lowest descriptors first.
            connections: The number of connections, with the new one.
        """
        if max(transport.get_extra_info("socket").fileno(), self._used + connections) < self._available:
            return False
        _log.warning("all but %d of %d file descriptors are in use: closing idle connections", RESERVED, self.limit)
        return True
