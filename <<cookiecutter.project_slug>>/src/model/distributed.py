"""Training on several instances: each reads its share of the rows, and together they grow the same trees."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from xgboost import collective
from xgboost.tracker import RabitTracker

from model.job import JobError

DEFAULT_PORT = 9099
_PATIENCE = 300
"""Seconds to wait for the others."""

_ATTEMPTS = 20
"""How often to knock at the tracker; each wait is a second longer than the last."""


@contextmanager
def together(hosts: Sequence[str], current: str, address: str | None, port: int) -> Iterator[bool]:
    """Join the other instances for as long as the block lasts.

    The first host by name runs the tracker that brings them together. A single host needs none of this.

    Args:
        hosts: The names of all instances.
        current: The name of this one.
        address: Where the tracker is reached; None to look up the first host's name.
        port: The tracker's port.

    Yields:
        Whether this instance leads: only the leader writes the model.

    Raises:
        JobError: This host is not one of the hosts, or the others cannot be reached.
    """
    if current not in hosts:
        raise JobError(f"this host, '{current}', is not one of the hosts: {', '.join(hosts)}")
    if len(hosts) == 1:
        yield True
        return
    leader = min(hosts)
    address = address or _resolve(leader)
    tracker = None
    if current == leader:
        tracker = RabitTracker(len(hosts), address, port, sortby="task", timeout=_PATIENCE)
        tracker.start()
    communicator = collective.CommunicatorContext(
        dmlc_tracker_uri=address,
        dmlc_tracker_port=port,
        dmlc_task_id=current,
        dmlc_retry=_ATTEMPTS,
        dmlc_timeout=_PATIENCE,
    )
    with communicator:
        yield collective.get_rank() == 0
    if tracker is not None:
        tracker.wait_for(_PATIENCE)


def _resolve(host: str) -> str:
    """Look up a host's address; the name of an instance may become known only after this one has started."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError as error:
            if time.monotonic() > deadline:
                raise JobError(f"host '{host}' cannot be found: {error}") from error
            time.sleep(1)
