"""The versions of objects with their times, from pages as S3 sends them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops.store.history import Stored, pages

WRITTEN = datetime(2026, 11, 20, tzinfo=UTC)

histories = st.lists(
    st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 3)),
    max_size=12,
).map(lambda entries: sorted(entries, key=lambda entry: (entry[0], -entry[2])))
"""Keys, whether each entry is a version or a delete marker, and the second of it: newest first, as S3 lists them."""


class S3:
    """S3 with one listing, in pages of a size."""

    def __init__(self, listing: Sequence[Mapping[str, Any]], size: int) -> None:
        self._listing, self._size = listing, size

    def get_paginator(self, _: str) -> "S3":
        """Return what has pages."""
        return self

    def paginate(self, *, KeyMarker: str = "", **_: str) -> Iterator[dict[str, list[Mapping[str, Any]]]]:  # noqa: N803
        """Yield the pages after a key."""
        listing = [entry for entry in self._listing if entry["Key"] > KeyMarker]
        for start in range(0, len(listing), self._size):
            page = listing[start : start + self._size]
            yield {
                "Versions": [entry for entry in page if "Size" in entry],
                "DeleteMarkers": [entry for entry in page if "Size" not in entry],
            }


def listed(history: Sequence[tuple[str, bool, int]]) -> list[dict[str, Any]]:
    keys = [key for key, _, _ in history]
    return [
        {
            "Key": key,
            "VersionId": f"v{number}",
            "IsLatest": keys.index(key) == number,
            "LastModified": WRITTEN + timedelta(seconds=second),
            **({"Size": 1} if is_version else {}),
        }
        for number, (key, is_version, second) in enumerate(history)
    ]


def read(listing: Sequence[Mapping[str, Any]], size: int, after: str = "") -> list[Stored]:
    return [stored for page in pages(S3(listing, size), "bucket", "", after) for stored in page]


@given(histories, st.integers(1, 5))
def test_a_version_is_replaced_by_the_next_newer_version_or_delete_marker_of_its_key(
    history: list[tuple[str, bool, int]], size: int
) -> None:
    listing, found = listed(history), {stored.id: stored for stored in read(listed(history), size)}
    assert set(found) == {entry["VersionId"] for entry in listing if "Size" in entry}
    for _, group in groupby(listing, key=lambda entry: entry["Key"]):
        entries = list(group)
        for entry in entries:
            stored = found.get(entry["VersionId"])
            if stored is None:
                continue
            assert (stored.replaced is None) == entry["IsLatest"]
            if stored.replaced:
                newer = [one["LastModified"] for one in entries if one["LastModified"] > entry["LastModified"]]
                assert stored.replaced in (entry["LastModified"], *newer)
                assert stored.replaced <= min(newer, default=stored.replaced)


@given(histories, st.integers(1, 5), st.sampled_from(["", "a", "b", "c"]))
def test_what_follows_a_key_is_read_as_it_is_read_from_the_beginning(
    history: list[tuple[str, bool, int]], size: int, after: str
) -> None:
    listing = listed(history)
    whole = [stored for stored in read(listing, 100) if stored.object.key > after]
    assert sorted(read(listing, 100, after)) == sorted(whole)
    assert {stored.id for stored in read(listing, size, after)} == {stored.id for stored in whole}
