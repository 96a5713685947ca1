"""Intervals of time that captured records lie in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

import pyarrow.compute as pc

_HOUR = "%Y-%m-%dT%H"


class IntervalDocument(TypedDict):
    """An interval of time: its `start`, inclusive, None for no lower bound, and its `end`, exclusive."""

    start: str | None
    end: str


@dataclass(frozen=True)
class Interval:
    """An interval of time, UTC.

    Attributes:
        start: Its start, inclusive; None for no lower bound.
        end: Its end, exclusive.
    """

    start: datetime | None
    end: datetime

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Interval":
        """Return the interval of a document with `start`, which may be null, and `end`, such as 2026-01-31T06:00:00Z.

        Raises:
            LookupError: One is missing.
            TypeError: One is not a string.
            ValueError: One is not a time, or the interval ends before it starts.
        """
        start = None if document["start"] is None else _moment(document["start"])
        end = _moment(document["end"])
        if start and start >= end:
            raise ValueError(f"it starts at {document['start']} and ends at {document['end']}")
        return cls(start, end)

    def document(self) -> IntervalDocument:
        """Return the interval as JSON."""
        return {"start": f"{_text(self.start)}Z" if self.start else None, "end": f"{_text(self.end)}Z"}

    def holds(self, times: Any) -> Any:
        """Return whether each of n times lies in the interval: a boolean Arrow array.

        Args:
            times: Arrow array of n times as text, ISO 8601 without an offset, with or without fractions of a second.
        """
        before_end = pc.less(times, _text(self.end))
        return pc.and_(before_end, pc.greater_equal(times, _text(self.start))) if self.start else before_end

    def may_hold(self, hour: str) -> bool:
        """Return whether an object of an hour, `2026-01-31T06`, may contain records of the interval.

        An object is named by the hour of its first record, or of the next, when it was written; those that follow may
        be of the next hour too.
        """
        hours = timedelta(hours=1)
        last = f"{self.end + hours:{_HOUR}}"
        return hour <= last and (self.start is None or hour >= f"{self.start - hours:{_HOUR}}")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _text(moment: datetime) -> str:
    """Format a time so that it is not after any other notation of itself in alphabetical order."""
    text = moment.replace(tzinfo=None).isoformat()
    return text.rstrip("0") if moment.microsecond else text
