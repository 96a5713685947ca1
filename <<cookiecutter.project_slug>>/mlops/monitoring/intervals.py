"""Intervals of time, and the objects that may contain records of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops.base.errors import UsageError
from mlops.monitoring.place import Place

_HOUR = timedelta(hours=1)
_PATH_OF_AN_HOUR = "%Y/%m/%d/%H"


@dataclass(frozen=True)
class Interval:
    """A time interval.

    Attributes:
        start: Its start, inclusive; None for no lower bound.
        end: Its end, exclusive.
    """

    start: datetime | None
    end: datetime

    def earlier(self, delay: timedelta) -> "Interval":
        """Return the interval of the same length that ended `delay` earlier."""
        return Interval(self.start - delay if self.start else None, self.end - delay)

    def holds(self, time: datetime) -> bool:
        """Return whether a time lies in the interval."""
        return (self.start is None or self.start <= time) and time < self.end

    def has_hour(self, hour: datetime) -> bool:
        """Return whether an object of an hour may contain records of the interval.

        An object is named by the hour of its first record, or of the next, when it was written; those that follow may
        be of the next hour too (see `modelkit.intervals`, which the job applies).
        """
        return (self.start is None or self.start < hour + 2 * _HOUR) and hour < self.end + _HOUR

    def document(self) -> dict[str, str | None]:
        """Return the interval as JSON."""
        return {"start": timestamp(self.start) if self.start else None, "end": timestamp(self.end)}


@dataclass(frozen=True)
class Intervals:
    """What monitoring evaluates: the requests of a window, and the labels of earlier requests.

    Attributes:
        window: The time of the requests to compare with the training data.
        labels: The time of the requests to compare with their labels.
    """

    window: Interval
    labels: Interval

    def hold(self, time: datetime) -> bool:
        """Return whether a time lies in one of them."""
        return self.window.holds(time) or self.labels.holds(time)

    def objects(self, place: Place, folder: str) -> Iterator[tuple[str, datetime]]:
        """Yield the URI and the hour of each object that may contain records of one of them.

        Args:
            place: The storage.
            folder: The URI of a folder with objects `<yyyy>/<mm>/<dd>/<hh>/<name>.jsonl`.
        """
        starts = (self.window.start, self.labels.start)
        first = None if None in starts else min(start for start in starts if start)
        for one in place.objects(folder, f"{first - 2 * _HOUR:{_PATH_OF_AN_HOUR}}" if first else ""):
            hour = _hour(one.name)
            if hour and (self.window.has_hour(hour) or self.labels.has_hour(hour)):
                yield f"{folder}/{one.name}", hour


def timestamp(time: datetime) -> str:
    """Format a time like captured records: UTC, ISO 8601, to the second."""
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def moment(text: str) -> datetime:
    """Parse a time; without a zone it is UTC.

    Raises:
        MlopsError: It is not a time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time.", "Use UTC, such as 2026-01-31T06:00:00Z.") from None
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)


def _hour(name: str) -> datetime | None:
    """Return the hour of an object, `<yyyy>/<mm>/<dd>/<hh>/<name>.jsonl`; None if it is not named so."""
    folder, _, file = name.rpartition("/")
    if not file.endswith(".jsonl") or file.startswith("."):
        return None
    try:
        return datetime.strptime(folder, _PATH_OF_AN_HOUR).replace(tzinfo=UTC)
    except ValueError:
        return None
