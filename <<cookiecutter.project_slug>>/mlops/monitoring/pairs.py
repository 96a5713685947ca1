"""Pairs of objects, an input and the output with its predictions, that the next step compares."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlops.monitoring.intervals import Interval, timestamp
from mlops.monitoring.place import Layout, Place


@dataclass(frozen=True)
class Pair:
    """An object whose rows were predicted.

    Attributes:
        input: Its S3 URI.
        output: The S3 URI of the predictions.
        time: When they were made.
        id: The id by which labels are joined.
        input_type: The content type of the input; empty if it is not known.
        output_type: The content type of the output; empty if it is not known.
    """

    input: str
    output: str
    time: datetime
    id: str
    input_type: str = ""
    output_type: str = ""


@dataclass
class Pairs:
    """What one version has predicted.

    Attributes:
        window: The time in which objects that cannot be read count.
        pairs: The objects that can be read.
        unreadable: The others, as `<S3 URI>: <reason>`.
    """

    window: Interval
    pairs: list[Pair] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.pairs or self.unreadable)

    def refuse(self, uri: str, reason: str, time: datetime) -> None:
        """Add an object that cannot be read, and was predicted at a time."""
        if self.window.holds(time):
            self.unreadable.append(f"{uri}: {reason}")

    def document(self, layout: Layout) -> bytes:
        """Return what the next step reads, with the names that the objects have there."""
        captured = f"{layout.captured}/"
        pairs = [
            {
                "input": pair.input.removeprefix(captured).removeprefix(f"{layout.data_bucket}/"),
                "beside_output": pair.input.startswith(captured),
                "output": pair.output.removeprefix(captured),
                "time": timestamp(pair.time),
                "id": pair.id,
                "input_type": pair.input_type,
                "output_type": pair.output_type,
            }
            for pair in self.pairs
        ]
        return json.dumps({"pairs": pairs, "unreadable": self.unreadable}).encode()


def keep_existing(place: Place, inputs: str, candidates: Sequence[tuple[Pairs, Pair]]) -> None:
    """Add pairs to those of their version if both objects exist and the input is the one that was predicted.

    Args:
        place: The storage.
        inputs: The URI that inputs are below.
        candidates: Each pair, and those of its version.
    """
    asked = _modified(place, inputs, [pair.input for _, pair in candidates])
    answered = _modified(place, place.layout.captured, [pair.output for _, pair in candidates])
    for found, pair in candidates:
        before, after = asked.get(pair.input), answered.get(pair.output)
        if before is None:
            found.refuse(pair.input, "it does not exist", pair.time)
        elif after is None:
            found.refuse(pair.output, "it does not exist", pair.time)
        elif before > after:
            found.refuse(pair.input, "it was replaced after it was predicted", pair.time)
        else:
            found.pairs.append(pair)


def _modified(place: Place, root: str, uris: Iterable[str]) -> dict[str, datetime]:
    """Return when the objects that exist below a root were written."""
    folders = {uri.rpartition("/")[0] for uri in uris if uri.startswith(f"{root}/")}
    return {f"{folder}/{one.name}": one.modified for folder in sorted(folders) for one in place.objects(folder)}
