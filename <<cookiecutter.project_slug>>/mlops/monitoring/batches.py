"""What batch transform jobs have predicted, found by the lists that they write for data capture.

A job writes below its destination `input/<yyyy>/<mm>/<dd>/<hh>/...` and `output/<yyyy>/<mm>/<dd>/<hh>/...`, named by
the hour of its start. These objects are manifests: `[{"prefix": "s3://.../"}, "a.csv", ...]` and, of the output,
`[{"prefix": "s3://.../"}, "a.csv.out", ...]`
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-batch.html).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops.monitoring.intervals import Intervals
from mlops.monitoring.pairs import Pair, Pairs, keep_existing
from mlops.monitoring.place import Place

_INPUT, _OUTPUT = "input", "output"
_SUFFIX = ".out"


@dataclass(frozen=True)
class _List:
    """One list: the S3 URI of each object by its name below the list's prefix."""

    time: datetime
    uris: Mapping[str, str]


def find(place: Place, environment: str, number: int, intervals: Intervals) -> Pairs:
    """Return what the jobs of a version predicted: the jobs that wrote their lists in one of the intervals.

    The time of a list is when it was written: its name has only the hour in which the job started. The id by which
    labels are joined is the key of the input.

    Args:
        place: The storage.
        environment: The environment of the jobs.
        number: The version.
        intervals: The window, and the time of the labels.
    """
    folder, found = place.layout.batch_lists(environment, number), Pairs(intervals.window)
    times: dict[str, dict[str, dict[str, datetime]]] = defaultdict(lambda: {_INPUT: {}, _OUTPUT: {}})
    for side in (_INPUT, _OUTPUT):
        for one in place.objects(f"{folder}/{side}"):
            times[one.name.rpartition("/")[0]][side][f"{folder}/{side}/{one.name}"] = one.modified
    for _, hour in sorted(times.items()):
        if any(intervals.hold(time) for side in hour.values() for time in side.values()):
            asked, answered = (list(_lists(place, hour[side], found)) for side in (_INPUT, _OUTPUT))
            _refuse_unanswered(asked, {name for each in answered for name in each.uris}, found)
            _pair(place, asked, [each for each in answered if intervals.hold(each.time)], found)
    return found


def _lists(place: Place, times: Mapping[str, datetime], found: Pairs) -> Iterator[_List]:
    for uri, time in times.items():
        try:
            yield _List(time, dict(_entries((place.read(uri) or b"").decode())))
        except (ValueError, LookupError, TypeError):
            found.refuse(uri, "it is not a list of objects", time)


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the URI of each object of a list, which is one JSON array or JSON Lines.

    Raises:
        ValueError: It is not JSON, or empty.
        LookupError: It has no prefix.
        TypeError: A name or the prefix is not a string.
    """
    decoder, rest = json.JSONDecoder(), text.strip()
    prefix: Any = None
    while True:
        value, end = decoder.raw_decode(rest)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict):
                prefix = entry["prefix"]
            else:
                yield entry, prefix + entry
        rest = rest[end:].lstrip()
        if not rest:
            return


def _refuse_unanswered(asked: list[_List], answers: set[str], found: Pairs) -> None:
    for each in asked:
        for name, uri in each.uris.items():
            if name + _SUFFIX not in answers:
                found.refuse(uri, "it has no output", each.time)


def _pair(place: Place, asked: list[_List], answered: list[_List], found: Pairs) -> None:
    """Pair each output with the input of the same name without `.out`, if it is the one that was predicted.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformOutput.html
    """
    bucket = place.layout.data_bucket
    inputs: dict[str, set[str]] = defaultdict(set)
    for each in asked:
        for name, uri in each.uris.items():
            inputs[name].add(uri)
    pairs = []
    for each in answered:
        for name, uri in each.uris.items():
            candidates = inputs[name.removesuffix(_SUFFIX)] if name.endswith(_SUFFIX) else set()
            if len(candidates) == 1:
                [source] = candidates
                pairs.append((found, Pair(source, uri, each.time, id=source.removeprefix(f"{bucket}/"))))
            else:
                found.refuse(uri, "several inputs have its name" if candidates else "it has no input", each.time)
    keep_existing(place, bucket, pairs)
