"""What an asynchronous endpoint has answered, found by the notices that SageMaker publishes, one for each answer.

SageMaker captures no data there that its documentation mentions. But requests and responses are objects in S3, and a
notice on the endpoint's topic names both, the inference id, the content types and the time
(https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-check-predictions.html). A stream collects the notices
in objects, below the folder of the endpoint: `notices/<yyyy>/<mm>/<dd>/<hh>/<name>.jsonl`.

Responses are in `answers/<version>/`, a folder that the endpoint configuration of the version sets.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

from mlops.base.errors import MlopsError
from mlops.monitoring.intervals import Intervals, moment
from mlops.monitoring.pairs import Pair, Pairs, keep_existing
from mlops.monitoring.place import Place

_TEST = "TestNotification"
"""The event with which SageMaker tests the topic."""

_UNREADABLE = (MlopsError, ValueError, LookupError, TypeError)
"""The exceptions that reading an invalid notice raises."""

_log = logging.getLogger(__name__)


def find(place: Place, environment: str, live: int | None, intervals: Intervals) -> Mapping[int, Pairs]:
    """Return what the endpoint answered in the intervals, by version.

    Args:
        place: The storage.
        environment: The environment of the endpoint.
        live: The version in use; notices that cannot be read, and so name no version, count as its own.
        intervals: The window, and the time of the labels.
    """
    folder = place.layout.asynchronous(environment)
    found: dict[int, Pairs] = defaultdict(lambda: Pairs(intervals.window))
    answered: dict[str, tuple[Pairs, Pair]] = {}  # by output: notices may be delivered twice
    unreadable: list[tuple[str, datetime]] = []
    for uri, hour in intervals.objects(place, f"{folder}/notices"):
        for notice in _notices((place.read(uri) or b"").decode(errors="replace")):
            if isinstance(notice, dict) and notice.get("eventName") == _TEST:
                continue
            try:
                pair = _pair(notice)
                number = int(pair.output.removeprefix(f"{folder}/answers/").partition("/")[0])
            except _UNREADABLE:
                unreadable.append((uri, hour))
                continue
            if intervals.hold(pair.time) and _is_sampled(pair, place.percentage):
                answered[pair.output] = found[number], pair
    keep_existing(place, place.layout.captured, list(answered.values()))
    owner = live if live is not None else max(found, default=None)
    for uri, hour in unreadable:
        if owner is not None:
            found[owner].refuse(uri, "a notice cannot be read", hour)
        else:
            _log.warning("%s: a notice cannot be read, and no version is in use", uri)
    return found


def _notices(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, with or without line ends between them; None for the rest of a damaged line."""
    decoder = json.JSONDecoder()
    for line in text.splitlines():
        rest = line.strip()
        while rest:
            try:
                notice, end = decoder.raw_decode(rest)
            except (ValueError, RecursionError):
                yield None
                break
            yield notice
            rest = rest[end:].lstrip()


def _pair(notice: Any) -> Pair:
    """Return what a notice names.

    Raises:
        MlopsError: It has no valid time.
        LookupError: A member is missing.
        TypeError: A member, or the notice, is of another type.
    """
    asked, answered = notice["requestParameters"], notice["responseParameters"]
    texts = (
        asked["inputLocation"],
        answered["outputLocation"],
        notice["eventTime"],
        notice["inferenceId"],
        asked.get("contentType", ""),
        answered.get("contentType", ""),
    )
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a member is not a string")
    source, output, time, inference_id, *types = texts
    return Pair(source, output, moment(time), inference_id, *types)


def _is_sampled(pair: Pair, percentage: float) -> bool:
    """Return whether a request is in the sample, which is the same for its window and for that of its labels."""
    digest = blake2b(pair.output.encode(), digest_size=4).digest()
    return int.from_bytes(digest) < percentage / 100 * 2**32
