"""Training on several instances, or on a single one."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from modelkit.job import JobError

PORT = 9099
"""The port of the tracker on the first host."""

_PATIENCE = 300
"""The time to wait for the other instances, in seconds."""

_ATTEMPTS = 20
"""The number of attempts to connect to the tracker; each wait is a second longer than the last."""


@contextmanager
def alone(hosts: Sequence[str], current: str) -> Iterator[bool]:
    """Train on a single instance: for algorithms that cannot train on several or do not gain from it.

    Args:
        hosts: The names of all instances.
        current: The name of this one.

    Yields:
        True: this instance writes the model.

    Raises:
        JobError: There are other instances.
    """
    if len(hosts) > 1:
        raise JobError(
            f"this algorithm trains on one instance, and {current} is one of {len(hosts)}: set training.instance_count "
            "in config/ (the parameter TrainingInstanceCount) to 1"
        )
    yield True


@contextmanager
def xgboost_together(hosts: Sequence[str], current: str) -> Iterator[bool]:
    """Connect to the other instances during a `with` block: each reads a share of the rows, and all train one model.

    The first host by name runs the tracker through which they connect. A single host connects to nothing.

    Args:
        hosts: The names of all instances.
        current: The name of this one.

    Yields:
        Whether this instance is the leader, the only one to write the model.

    Raises:
        JobError: The leader's host name cannot be resolved.
    """
    if len(hosts) == 1:
        yield True
        return
    collective, tracking = import_module("xgboost.collective"), import_module("xgboost.tracker")  # not in every project
    leader = min(hosts)
    address = _resolve(leader)
    tracker = None
    if current == leader:
        tracker = tracking.RabitTracker(len(hosts), address, PORT, sortby="task", timeout=_PATIENCE)
        tracker.start()
    communicator = collective.CommunicatorContext(
        dmlc_tracker_uri=address,
        dmlc_tracker_port=PORT,
        dmlc_task_id=current,
        dmlc_retry=_ATTEMPTS,
        dmlc_timeout=_PATIENCE,
    )
    with communicator:
        yield collective.get_rank() == 0
    if tracker is not None:
        tracker.wait_for(_PATIENCE)


def _resolve(host: str) -> str:
    """Look up a host's address; the name of an instance may become resolvable only after this one has started."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError as error:
            if time.monotonic() > deadline:
                raise JobError(f"cannot resolve host '{host}': {error}") from error
            time.sleep(1)
