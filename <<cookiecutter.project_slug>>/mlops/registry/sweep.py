"""The sweep: tag object versions and results of runs that no registered version names, for the lifecycle to expire.

Lifecycle filters select by tag and cannot negate, so what may go is tagged and not what stays. A Lambda function
imports this module.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from mlops.registry.named import Named
from mlops.store import expiry
from mlops.store.history import Stored, pages

_THREADS = 10
"""As many as a boto3 client has connections."""

_STOP_TAGGING, _STOP_COUNTING = 120, 20
"""The seconds that have to be left for another page of a thousand versions: to tag it, and to count it."""


class Place(NamedTuple):
    """How far a sweep has come.

    Attributes:
        bucket: The bucket.
        key: The last key there that is done; empty before the first.
    """

    bucket: str
    key: str


@dataclass(frozen=True)
class Rules:
    """What may expire.

    Attributes:
        slug: The project.
        named: What registered versions name.
        results_known: Whether `named` covers all results of runs; otherwise none expires.
        before: The time since which object versions must be unused: replaced or, results of runs, written.
    """

    slug: str
    named: Named
    results_known: bool
    before: datetime

    def expires(self, bucket: str, stored: Stored) -> bool | None:
        """Return whether a version of an object may expire; None to leave its tag as it is.

        Of current objects, only results of runs may.
        """
        run = self._run(stored.object.key)
        if run is None and stored.replaced is None:
            return None
        if self.named.names(bucket, stored, run):
            return False
        is_known = self.results_known if run is not None else not self.named.may_name(bucket, stored)
        return True if is_known and (stored.replaced or stored.written) < self.before else None

    def _run(self, key: str) -> str | None:
        folder = f"{self.slug}/runs/"
        return key.removeprefix(folder).partition("/")[0] if key.startswith(folder) else None


@dataclass
class Report:
    """What a sweep did.

    Attributes:
        outcomes: The number of object versions by outcome (see `store.expiry`).
        left: The number of object versions that there was no time for.
        is_counted: Whether there was time to count all of them.
        next: Where the next sweep begins; None if this one reached the end.
    """

    outcomes: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys((expiry.TAGGED, expiry.UNTAGGED, expiry.UNCHANGED, expiry.FULL), 0)
    )
    left: int = 0
    is_counted: bool = True
    next: Place | None = None


def sweep(
    s3: Any, buckets: Sequence[str], rules: Rules, start: Place | None, seconds_left: Callable[[], float]
) -> Report:
    """Tag what may expire, and remove the tag from what a version names (again); count the rest once time is short.

    Args:
        s3: A boto3 client.
        buckets: The buckets of the project.
        rules: What may expire.
        start: Where to begin; None for the beginning.
        seconds_left: Returns how long the sweep may still take.

    Raises:
        ClientError: Object versions cannot be listed or tagged.
    """
    report, start = Report(), start if start and start.bucket in buckets else Place(buckets[0], "")
    with ThreadPoolExecutor(_THREADS) as pool:
        for place, page in _pages(s3, buckets, f"{rules.slug}/", start):
            if report.next is None and seconds_left() < _STOP_TAGGING:
                report.next = place
            if report.next and seconds_left() < _STOP_COUNTING:
                report.is_counted = False
                break
            decided = [(each, expires) for each in page if (expires := rules.expires(place.bucket, each)) is not None]
            if report.next:
                report.left += len(decided)
                continue
            mark = partial(expiry.mark, s3, place.bucket)
            for outcome in pool.map(mark, *zip(*decided, strict=True)) if decided else ():
                report.outcomes[outcome] += 1
    return report


def _pages(s3: Any, buckets: Sequence[str], prefix: str, start: Place) -> Iterator[tuple[Place, list[Stored]]]:
    """Yield the pages from a place on, each with the place to continue at if it is not done: one between two keys."""
    for bucket in buckets[buckets.index(start.bucket) :]:
        done = last = start.key if bucket == start.bucket else ""
        for page in pages(s3, bucket, prefix, done):
            keys = [each.object.key for each in page]
            done = done if last in keys else last
            yield Place(bucket, done), page
            earlier = [key for key in keys if key != keys[-1]]
            done, last = (earlier or [done])[-1], (keys or [last])[-1]
