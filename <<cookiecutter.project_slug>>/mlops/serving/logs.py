"""The server's log, rate-limited per message so that clients cannot flood it."""

import logging
import sys

from mlops.base.terminal import clean

PERIOD_SECONDS = 10.0
"""The same message is logged once in this period; the next one gives the number of suppressed ones."""

_MESSAGES_TRACKED = 1000


class Sparse(logging.Filter):
    """Passes a message, regardless of its arguments, once per period."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record, with the number of suppressed ones added to it."""
        kind = (record.name, str(record.msg))
        logged, suppressed = self._seen.get(kind, (-PERIOD_SECONDS, 0))
        if record.created - logged < PERIOD_SECONDS:
            self._seen[kind] = (logged, suppressed + 1)
            return False
        if len(self._seen) > _MESSAGES_TRACKED:
            self._seen.clear()
        self._seen[kind] = (record.created, 0)
        if suppressed:
            record.msg = f"{record.msg} ({suppressed} similar messages suppressed)"
        return True


class Clean(logging.Formatter):
    """Cleans messages and tracebacks, which quote requests and what the model's code says of them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or lines, of a record."""
        return clean(super().format(record))


def set_up() -> None:
    """Log to standard error; from libraries, only warnings and errors."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Sparse())
    handler.setFormatter(Clean("%(asctime)s %(process)d %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mlops").setLevel(logging.INFO)
