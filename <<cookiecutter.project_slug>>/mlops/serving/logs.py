"""The server's log: a line for each kind of event now and then, however often clients cause it."""

import logging
import sys

PERIOD_SECONDS = 10.0
"""The same message is logged once within this time; the next one says how many were left out."""

_KINDS_REMEMBERED = 1000


class Sparse(logging.Filter):
    """Lets a message pass, whatever its arguments, once in each period."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; the number of those left out since the last one is added to it."""
        kind = (record.name, str(record.msg))
        logged, left_out = self._seen.get(kind, (-PERIOD_SECONDS, 0))
        if record.created - logged < PERIOD_SECONDS:
            self._seen[kind] = (logged, left_out + 1)
            return False
        if len(self._seen) > _KINDS_REMEMBERED:
            self._seen.clear()
        self._seen[kind] = (record.created, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more like it before)"
        return True


def set_up() -> None:
    """Log to standard error, of the libraries only what is wrong."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Sparse())
    form = "%(asctime)s %(process)d %(levelname)s %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form, handlers=[handler])
    logging.getLogger("mlops").setLevel(logging.INFO)
