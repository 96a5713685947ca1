"""The first step of the monitoring pipeline: find the traffic, the labels and the baselines of a window.

Processing jobs have no network: SageMaker copies to them what this step lists in manifests.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from mlops.base.capture import VARIANT
from mlops.base.clocks import require_past
from mlops.base.documents import parse_document
from mlops.base.errors import DamagedError, MlopsError, UsageError
from mlops.monitoring import answers, batches
from mlops.monitoring.intervals import Interval, Intervals, moment, timestamp
from mlops.monitoring.place import LAST_WINDOW, Place
from mlops.registry.versions import ModelVersion, require_baseline

AUTO = "auto"
"""The value of a window's start or end that is not given."""

WINDOW = "window.json"
PAIRS = "pairs.json"
SCHEMA = "schema.json"
STATISTICS, CONSTRAINTS = "statistics.json", "constraints.json"
_OF_EVALUATION = ("evaluation.json", "predictions.json")


@dataclass(frozen=True)
class Request:
    """What to collect: the event of the step.

    Attributes:
        project_name: The project's name, as people read it.
        environment: The environment whose traffic is evaluated.
        execution: The id of the run.
        started: When the run started.
        start: The start of the window; None for the end of the last one.
        end: The end of the window; None for the start of the run, less the lateness of records.
        label_delay: How long after a request its label is known.
    """

    project_name: str
    environment: str
    execution: str
    started: datetime
    start: datetime | None
    end: datetime | None
    label_delay: timedelta

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "Request":
        """Read an event.

        Raises:
            MlopsError: A value is not a time or not a number.
        """
        delay = float(event["label_delay_hours"])
        if not 0 <= delay <= _LONGEST_DELAY:
            raise UsageError(f"LabelDelayHours is {delay:g}; it must be between 0 and {_LONGEST_DELAY}.")
        return cls(
            project_name=event["project_name"],
            environment=event["environment"],
            execution=event["execution"],
            started=moment(event["started"]),
            start=None if event["start"] == AUTO else moment(event["start"]),
            end=None if event["end"] == AUTO else moment(event["end"]),
            label_delay=timedelta(hours=delay),
        )


_LONGEST_DELAY = 24 * 366


def collect(place: Place, request: Request) -> dict[str, str]:
    """Write the window's documents and manifests.

    Returns:
        The S3 URIs that the next step reads: `window`, the prefix of `window.json` and the documents of each version,
        and the manifests `captured`, `batch_input` and `ground_truth`.

    Raises:
        MlopsError: The window would end before it starts, or a version that got requests has no baseline.
    """
    layout, environment = place.layout, request.environment
    window = _window(place, request)
    labels = window.earlier(request.label_delay)
    intervals = Intervals(window, labels)
    live = place.live(environment)
    captured: list[str] = []
    predicted: list[str] = []
    results = f"{layout.results(environment)}/{request.execution}"
    folder = f"{results}/window"
    answered = answers.find(place, environment, live, intervals)
    for number in sorted({*_captured_versions(place), *answered}):
        uris = list(_captured(place, environment, number, intervals))
        found = answered.get(number) or batches.find(place, environment, number, intervals)
        if uris or found:
            _copy_documents(place, place.version(number), f"{folder}/{number}")
            place.write(f"{folder}/{number}/{PAIRS}", found.document(layout))
        captured += [*uris, *(pair.output for pair in found.pairs)]
        for pair in found.pairs:
            (captured if pair.input.startswith(f"{layout.captured}/") else predicted).append(pair.input)
    document = {
        **window.document(),
        "labels": labels.document(),
        "live": live,
        "project_name": request.project_name,
        "environment": environment,
    }
    place.write(f"{folder}/{WINDOW}", json.dumps(document, indent=2).encode())
    truth, since = layout.ground_truth(environment), labels.start
    files = (f"{truth}/{one.name}" for one in place.objects(truth) if since is None or one.modified >= since)
    captured_list = layout.captured_manifest(environment, request.execution)
    input_list, truth_list = f"{results}/batch-input.manifest", f"{results}/ground-truth.manifest"
    _write_manifest(place, captured_list, layout.captured, dict.fromkeys(captured))
    _write_manifest(place, input_list, layout.data_bucket, dict.fromkeys(predicted))
    _write_manifest(place, truth_list, layout.data, files)
    return {
        "window": f"{folder}/", "captured": captured_list, "batch_input": input_list, "ground_truth": truth_list,
    }  # fmt: skip


class _LastWindow(TypedDict):
    end: str


def last_end(place: Place, environment: str, now: datetime | None = None) -> datetime | None:
    """Return where the last evaluated window of an environment ended; None before the first.

    Args:
        place: The storage.
        environment: The environment.
        now: The current time; None for that of the clock.

    Raises:
        MlopsError: The document that says so is damaged, or names a time in the future.
    """
    uri = f"{place.layout.results(environment)}/{LAST_WINDOW}"
    content = place.read(uri)
    if content is None:
        return None
    here = f".mlops/s3/{uri.removeprefix('s3://')}"
    remedy = f"Delete it (on this machine {here}): the next window then begins with the first captured request."
    try:
        end = moment(parse_document(content, _LastWindow, f"{uri} is damaged", remedy)["end"])
    except UsageError as error:
        raise DamagedError(f"{uri} is damaged: {error.message}", remedy) from None
    require_past(end, f"The end of the last window, in {uri},", remedy, now)
    return end


def _window(place: Place, request: Request) -> Interval:
    end = request.end or (request.started - place.lateness).replace(microsecond=0)
    require_past(end, "The end of the window", "Choose one that has ended, or let the window end now.", request.started)
    start = request.start or last_end(place, request.environment, request.started)
    if start is not None and start >= end:
        raise UsageError(
            f"The window would start at {timestamp(start)} and end at {timestamp(end)}.",
            f"Records may be {place.lateness} late: start monitoring later, or choose another window.",
        )
    return Interval(start, end)


def _captured_versions(place: Place) -> list[int]:
    """Return the numbers of the versions with captured requests."""
    return [int(name) for name in place.folders(place.layout.capture) if name.isdecimal()]


def _captured(place: Place, environment: str, number: int, intervals: Intervals) -> Iterator[str]:
    """Yield the captured objects of a version that may contain records of the intervals."""
    for endpoint in place.layout.endpoints(environment):
        # Not those of a shadow variant: it answers the same requests with another version.
        for uri, _ in intervals.objects(place, f"{place.layout.capture}/{number}/{endpoint}/{VARIANT}"):
            yield uri


def _copy_documents(place: Place, version: ModelVersion, folder: str) -> None:
    """Copy what the requests of a version are compared with.

    Raises:
        MlopsError: The version has no baseline or no schema.
    """
    for name, uri in zip((STATISTICS, CONSTRAINTS), require_baseline(version), strict=True):
        if not place.copy(uri, f"{folder}/{name}"):
            raise MlopsError(f"The baseline of version {version.version} is missing: {uri}.", _RETRAIN)
    beside = version.evaluation_uri.rpartition("/")[0]
    for name in _OF_EVALUATION if beside else ():
        place.copy(f"{beside}/{name}", f"{folder}/{name}")
    if beside and place.copy(f"{beside}/{SCHEMA}", f"{folder}/{SCHEMA}"):
        return
    schema = place.archived_schema(version)
    if schema is None:
        raise MlopsError(f"Version {version.version} was registered without its schema.", _RETRAIN)
    place.write(f"{folder}/{SCHEMA}", schema)


_RETRAIN = "Its requests cannot be compared. Train and deploy a new version."


def _write_manifest(place: Place, uri: str, root: str, uris: Iterable[str]) -> None:
    """Write a manifest of objects. It lists itself too, because a job needs at least one object.

    The format is that of S3DataSource
    (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html).

    Args:
        place: The storage.
        uri: The manifest.
        root: The folder that contains the manifest and the objects; the job gets their names below it.
        uris: The objects.
    """
    prefix = f"{root}/"
    listed = [{"prefix": prefix}, *(one.removeprefix(prefix) for one in (uri, *uris))]
    place.write(uri, json.dumps(listed).encode())
