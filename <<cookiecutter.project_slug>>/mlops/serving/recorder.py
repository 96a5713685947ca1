"""Write captured records to files, in whole lines, without delaying responses."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mlops.base.capture import object_name

FLUSH_SECONDS = 1.0
"""Older records are in a file, even if the process is killed."""

FLUSH_BYTES = 4 * 1024 * 1024
"""A larger backlog is written at once. Each write makes the event loop wait for the other thread."""

BACKLOG_BYTES = 32 * 1024 * 1024
"""The maximum backlog for a slow or full disk; further records are lost and counted."""

OBJECT_BYTES = 16 * 1024 * 1024
"""The size at which a new file is started."""

_ATTEMPTS = 3
_LOSING = "captured records are being lost: %s"
_log = logging.getLogger(__name__)


class Recorder:
    """Collects records, and appends them to files below a folder in its own thread.

    A file holds the records of at most one hour. When a write fails, the records of that write are dropped and the file
    is truncated, so that it ends with a whole line unless the process was killed while writing. When the file or its
    folder has been deleted or moved, another one is begun, and the records in that file count as lost.

    """

    def __init__(self, folder: Path, report: Callable[[int, int, int], None] = lambda *_: None) -> None:
        """Start the thread.

        Args:
            folder: The folder.
            report: Called in the thread with the numbers of records so far that were written, that were not, and that
                were written to files that have been deleted or moved.
        """
        self._report = report
        self._appended = 0
        self._unwritten = 0
        self._deleted = 0
        self._refused = 0
        self._folder = folder
        self._waiting: list[bytes] = []
        self._added = 0  # bytes, written only by the thread that adds ...
        self._taken = 0  # ... and only by the one that writes, so that no lock is needed
        self._due = threading.Event()
        self._closing = False
        self._file: int | None = None
        self._path = folder
        self._hour: datetime | None = None
        self._size = 0
        self._in_file = 0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def add(self, record: bytes) -> None:
        """Add a record, a line with its newline. Call it from one thread only."""
        backlog = self._added - self._taken
        if backlog > BACKLOG_BYTES:
            self._refused += 1
            _log.error(_LOSING, "the disk is too slow")
            return
        self._waiting.append(record)
        self._added += len(record)
        if backlog > FLUSH_BYTES:
            self._due.set()

    @property
    def written(self) -> int:
        """The number of records in files."""
        return self._appended - self._deleted

    @property
    def lost(self) -> int:
        """The number of lost records."""
        return self._refused + self._unwritten + self._deleted

    def close(self) -> None:
        """Write the backlog and stop the thread."""
        self._closing = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            self._due.wait(FLUSH_SECONDS)
            self._due.clear()
            self._flush()
        self._flush()
        self._end_file()

    def _flush(self) -> None:
        records = self._waiting[:]
        del self._waiting[: len(records)]  # the other thread only appends
        if not records:
            return
        lines = b"".join(records)
        try:
            for _ in range(_ATTEMPTS):
                self._append(lines)
                if self._is_there():
                    self._appended += len(records)
                    self._in_file += len(records)
                    break
            else:
                raise FileNotFoundError(f"{self._folder} is deleted again and again")
        except OSError as error:
            self._unwritten += len(records)
            _log.error(_LOSING, error.strerror or error)
        self._taken += len(lines)
        self._report_records()

    def _append(self, lines: bytes) -> None:
        now = datetime.now(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour or self._size >= OBJECT_BYTES or not self._is_there():
            self._end_file()
        if self._file is None:
            path = self._folder / object_name(now)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            self._path, self._hour, self._size, self._in_file = path, hour, 0, 0
        view = memoryview(lines)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(lines)

    def _report_records(self) -> None:
        self._report(self._appended, self._refused + self._unwritten, self._deleted)

    def _is_there(self) -> bool:
        """Return whether the file is open and still at its path."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return False

    def _end_file(self) -> None:
        """Close the file; if it has been deleted or moved, count its records as lost."""
        if self._file is None:
            return
        if not self._is_there():
            self._deleted += self._in_file
            self._report_records()
            _log.error(_LOSING, f"{self._path} with {self._in_file} records has been deleted or moved")
        os.close(self._file)
        self._file = None
