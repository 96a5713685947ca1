"""What the server counts, for `GET /metrics`: the sums over all workers since the server started.

Each worker counts in a slot of its own, in memory that the supervisor shares with all of them. When a worker has
exited, the next one takes over its slot and counts on, so that no sum decreases while the server runs.
"""

import mmap
import os
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

MEDIA_TYPE = "text/plain; version=0.0.4"
"""Prometheus' text format."""

_SECOND = 10**9
_DURATIONS = tuple(
    round(seconds * _SECOND)
    for seconds in (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
)
"""Upper bounds in nanoseconds. An endpoint's request may take 60 seconds; slower ones are asynchronous or batches."""

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)

# The cells of a slot, each written by one process and one thread only. A histogram has one more than it has bounds, and
# then the sum of what was observed.
_STATUSES = 600
_DURATION = _STATUSES
_BATCH = _DURATION + len(_DURATIONS) + 2
_MODEL_ERRORS = _BATCH + len(_BATCHES) + 2
_TAKEN, _WRITTEN, _UNWRITTEN, _DELETED = range(_MODEL_ERRORS + 1, _MODEL_ERRORS + 5)
_EXITS, _READY, _VERSION, _CELLS = range(_DELETED + 1, _DELETED + 5)

_INTEGER = 8
_SLOT_BYTES = -(-_CELLS * _INTEGER // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


class Ledger:
    """The shared memory of a server, held by its supervisor.

    Attributes:
        descriptor: The file descriptor of the memory, for workers to inherit.
    """

    def __init__(self) -> None:
        self.descriptor = _memory()
        self._slots: list[memoryview] = []
        self._free: list[int] = []

    def take(self, version: int) -> int:
        """Return the number of a slot for a new worker, which will serve a version."""
        if not self._free:
            self._free.append(len(self._slots))
            os.ftruncate(self.descriptor, (len(self._slots) + 1) * _SLOT_BYTES)
            self._slots.append(_mapped(self.descriptor, len(self._slots)))
        slot = self._free.pop()
        self._slots[slot][_VERSION] = version
        return slot

    def set_ready(self, slot: int) -> None:
        """Record that the worker with a slot has loaded its model."""
        self._slots[slot][_READY] = 1

    def release(self, slot: int, *, expected: bool) -> None:
        """Record that the worker with a slot has exited, and whether it was meant to.

        The records that it had taken and not written are lost.
        """
        cells = self._slots[slot]
        cells[_READY] = 0
        cells[_EXITS] += not expected
        cells[_UNWRITTEN] = cells[_TAKEN] - cells[_WRITTEN]
        self._free.append(slot)


class Metrics:
    """The counts of one worker."""

    def __init__(self, descriptor: int = -1, slot: int = 0) -> None:
        """Continue the counts of a slot.

        Args:
            descriptor: The memory of all workers (see `Ledger`); -1 to count in this process alone.
            slot: The number of the slot.
        """
        self._descriptor = descriptor
        self._cells = _mapped(descriptor, slot)
        self._before = self._cells[_WRITTEN : _DELETED + 1].tolist()

    def count_response(self, status: int) -> None:
        """Count a response, to any request but for /ping and /metrics."""
        self._cells[status] += 1

    def observe_invocation(self, nanoseconds: int) -> None:
        """Count a response to a request for /invocations that took some time."""
        self._cells[_DURATION + bisect_left(_DURATIONS, nanoseconds)] += 1
        self._cells[_DURATION + len(_DURATIONS) + 1] += nanoseconds

    def observe_batch(self, requests: int) -> None:
        """Count a batch of requests that were predicted together."""
        self._cells[_BATCH + bisect_left(_BATCHES, requests)] += 1
        self._cells[_BATCH + len(_BATCHES) + 1] += requests

    def count_model_error(self) -> None:
        """Count a request in which the model's code failed."""
        self._cells[_MODEL_ERRORS] += 1

    def count_record(self) -> None:
        """Count a captured record, which is to be written."""
        self._cells[_TAKEN] += 1

    def set_records(self, written: int, unwritten: int, deleted: int) -> None:
        """Set how many captured records this worker has written, failed to write, and found deleted so far."""
        for offset, (before, records) in enumerate(zip(self._before, (written, unwritten, deleted), strict=True)):
            self._cells[_WRITTEN + offset] = before + records

    def exposition(self) -> bytes:
        """Return the sums over all workers in Prometheus' text format."""
        import numpy as np  # 0.1 s, which the supervisor does not need; a worker has imported it with its model

        memory: memoryview | bytes = self._cells
        if self._descriptor >= 0:
            memory = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        slots = np.frombuffer(memory, np.int64).reshape(-1, _SLOT_BYTES // _INTEGER)
        versions = sorted({*slots[slots[:, _READY] == 1, _VERSION].tolist()})
        return "".join(f"{line}\n" for line in _lines(slots.sum(axis=0).tolist(), versions)).encode()


def _memory() -> int:
    """Return the descriptor of a file without a name, which does not outlive its processes."""
    if sys.platform == "linux":
        return os.memfd_create("metrics")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _mapped(descriptor: int, slot: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, _SLOT_BYTES, offset=slot * _SLOT_BYTES)).cast("q")


def _lines(sums: Sequence[int], versions: Iterable[int]) -> Iterator[str]:
    yield from _head("mlops_requests_total", "counter", "Responses by status, those to /ping and /metrics excluded.")
    for status in range(_STATUSES):
        if sums[status] or status == 200:
            yield f'mlops_requests_total{{code="{status}"}} {sums[status]}'
    yield from _histogram(
        "mlops_invocation_duration_seconds", "Time from the head of a request for /invocations to its response.",
        sums[_DURATION:_BATCH], _DURATIONS, _SECOND,
    )  # fmt: skip
    yield from _histogram(
        "mlops_batch_requests", "Requests that were predicted together by dynamic batching.",
        sums[_BATCH:_MODEL_ERRORS], _BATCHES, 1,
    )  # fmt: skip
    lost = sums[_UNWRITTEN] + sums[_DELETED]
    for name, total, meaning in (
        ("mlops_model_errors_total", sums[_MODEL_ERRORS], "Requests in which the model's code failed."),
        ("mlops_capture_records_written_total", sums[_WRITTEN], "Captured requests that were written to files."),
        (
            "mlops_capture_records_lost_total",
            lost,
            "Captured requests that were not written, or whose file was deleted.",
        ),
        ("mlops_worker_exits_total", sums[_EXITS], "Worker processes that exited unexpectedly."),
    ):
        yield from _head(name, "counter", meaning)
        yield f"{name} {total}"
    yield from _head("mlops_workers", "gauge", "Worker processes with a loaded model.")
    yield f"mlops_workers {sums[_READY]}"
    yield from _head("mlops_model_info", "gauge", "Versions of the model that are served; the value is 1.")
    for version in versions:
        yield f'mlops_model_info{{version="{version or "unknown"}"}} 1'


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _histogram(name: str, meaning: str, cells: Sequence[int], bounds: Sequence[int], unit: int) -> Iterator[str]:
    """Yield a histogram.

    Args:
        name: Its name.
        meaning: Its meaning.
        cells: The number of observations up to each bound and above the last, and the sum of the observations.
        bounds: The upper bounds.
        unit: The number of observed units in one of the metric.
    """
    yield from _head(name, "histogram", meaning)
    count = 0
    limits = [*(f"{bound / unit:g}" for bound in bounds), "+Inf"]
    for limit, observed in zip(limits, cells[:-1], strict=True):
        count += observed
        yield f'{name}_bucket{{le="{limit}"}} {count}'
    yield f"{name}_sum {cells[-1] / unit}"
    yield f"{name}_count {count}"
