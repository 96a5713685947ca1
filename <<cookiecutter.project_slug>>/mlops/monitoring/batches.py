"""What batch transform jobs have predicted, found by the lists that they write for data capture.

A job writes below its destination `input/<yyyy>/<mm>/<dd>/<hh>/...` and `output/<yyyy>/<mm>/<dd>/<hh>/...`, named by
the hour of its start. These objects are manifests: `[{"prefix": "s3://.../"}, "a.csv", ...]` and, of the output,
`[{"prefix": "s3://.../"}, "a.csv.out", ...]`
(https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-batch.html).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops.monitoring.place import Place

_INPUT, _OUTPUT = "input", "output"
_SUFFIX = ".out"


@dataclass(frozen=True)
class Pair:
    """An object that a job has predicted.

    Attributes:
        input: The S3 URI of its rows.
        output: The S3 URI of its predictions.
        time: When the job listed it.
    """

    input: str
    output: str
    time: datetime


@dataclass
class Batches:
    """What the jobs of a version have predicted in a window.

    Attributes:
        pairs: The objects that can be read.
        unreadable: The others, as `<S3 URI>: <reason>`.
    """

    pairs: list[Pair] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.pairs or self.unreadable)

    def refuse(self, uri: str, reason: str) -> None:
        """Add an object that cannot be read."""
        self.unreadable.append(f"{uri}: {reason}")


@dataclass(frozen=True)
class _List:
    """One list: the S3 URI of each object by its name below the list's prefix."""

    time: datetime
    uris: Mapping[str, str]


def find(place: Place, environment: str, number: int, start: datetime | None, end: datetime) -> Batches:
    """Return what the jobs of a version predicted in a window: the jobs that wrote their lists in it.

    The time of a list is when it was written: its name has only the hour in which the job started.

    Args:
        place: The storage.
        environment: The environment of the jobs.
        number: The version.
        start: The start of the window, inclusive; None for no lower bound.
        end: The end of the window, exclusive.
    """
    folder, found = place.layout.batch_lists(environment, number), Batches()
    times: dict[str, dict[str, dict[str, datetime]]] = defaultdict(lambda: {_INPUT: {}, _OUTPUT: {}})
    for side in (_INPUT, _OUTPUT):
        for one in place.objects(f"{folder}/{side}"):
            times[one.name.rpartition("/")[0]][side][f"{folder}/{side}/{one.name}"] = one.modified
    for _, hour in sorted(times.items()):
        if any(_is_within(time, start, end) for side in hour.values() for time in side.values()):
            asked, answered = (list(_lists(place, hour[side], found)) for side in (_INPUT, _OUTPUT))
            answers = {name for each in answered for name in each.uris}
            _refuse_unanswered([each for each in asked if _is_within(each.time, start, end)], answers, found)
            _pair(place, asked, [each for each in answered if _is_within(each.time, start, end)], found)
    return found


def _is_within(time: datetime, start: datetime | None, end: datetime) -> bool:
    return (start is None or start <= time) and time < end


def _lists(place: Place, times: Mapping[str, datetime], found: Batches) -> Iterator[_List]:
    for uri, time in times.items():
        try:
            yield _List(time, dict(_entries((place.read(uri) or b"").decode())))
        except (ValueError, LookupError, TypeError):
            found.refuse(uri, "it is not a list of objects")


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


def _refuse_unanswered(asked: list[_List], answers: set[str], found: Batches) -> None:
    for each in asked:
        for name, uri in each.uris.items():
            if name + _SUFFIX not in answers:
                found.refuse(uri, "it has no output")


def _pair(place: Place, asked: list[_List], answered: list[_List], found: Batches) -> None:
    """Pair each output with the input of the same name without `.out`, if it is the one that was predicted.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TransformOutput.html
    """
    inputs: dict[str, set[str]] = defaultdict(set)
    for each in asked:
        for name, uri in each.uris.items():
            inputs[name].add(uri)
    for each in answered:
        pairs = []
        for name, uri in each.uris.items():
            candidates = inputs[name.removesuffix(_SUFFIX)] if name.endswith(_SUFFIX) else set()
            if len(candidates) == 1:
                [source] = candidates
                pairs.append(Pair(source, uri, each.time))
            else:
                found.refuse(uri, "several inputs have its name" if candidates else "it has no input")
        _check(place, pairs, found)


def _check(place: Place, pairs: list[Pair], found: Batches) -> None:
    """Add the pairs whose objects exist, and whose input has not been replaced since it was predicted."""
    inputs = _modified(place, place.layout.data_bucket, [pair.input for pair in pairs])
    outputs = _modified(place, place.layout.captured, [pair.output for pair in pairs])
    for pair in pairs:
        before, after = inputs.get(pair.input), outputs.get(pair.output)
        if before is None:
            found.refuse(pair.input, "it does not exist")
        elif after is None:
            found.refuse(pair.output, "it does not exist")
        elif before > after:
            found.refuse(pair.input, "it was replaced after it was predicted")
        else:
            found.pairs.append(pair)


def _modified(place: Place, root: str, uris: list[str]) -> dict[str, datetime]:
    """Return when the objects that exist below a root were written."""
    folders = {uri.rpartition("/")[0] for uri in uris if uri.startswith(f"{root}/")}
    return {f"{folder}/{one.name}": one.modified for folder in sorted(folders) for one in place.objects(folder)}
