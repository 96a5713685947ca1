"""The last step of the monitoring pipeline: hand over the metrics of a window, and record where it ended."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, TypeVar

from mlops.base.documents import parse_document
from mlops.base.errors import MlopsError
from mlops.monitoring.collect import AUTO, WINDOW, last_end
from mlops.monitoring.intervals import moment, timestamp
from mlops.monitoring.place import LAST_WINDOW, Place

METRICS = "metrics.json"
EVALUATED = "WindowsEvaluated"
"""The metric that says that a run has ended, whatever it found: an alarm watches that it does not stay away."""

DUE = "RetrainingDue"
"""The metric that says whether a retraining is due: an alarm on it starts one."""

LIVE = "LiveVersion"
"""The metric with the number of the version in use."""

AGE = "ModelAgeDays"
"""The metric with the days since the version in use was approved."""

PUBLISHED = (
    *("Rows", "Requests", "UnreadableRecords"),
    *("DriftedFeatures", "Drift", "PredictionDistance", "DataQualityViolations"),
    *("LabelledRows", "Auc", "Accuracy", "F1", "ModelQualityDegraded"),
    *(DUE, EVALUATED, LIVE, AGE),
)
"""All metrics, those of the job first: alarms and dashboards may use these."""

_DAY = timedelta(days=1)
T = TypeVar("T")


def is_judged(figures: Mapping[str, float]) -> bool:
    """Return whether there were enough rows, or enough labels, to evaluate a version."""
    return "Drift" in figures or "ModelQualityDegraded" in figures


def has_changed(figures: Mapping[str, float]) -> bool:
    """Return whether a version has drifted, or its predictions fit the labels worse."""
    return bool(figures.get("Drift") or figures.get("ModelQualityDegraded"))


def is_due(figures: Mapping[str, float]) -> bool:
    """Return whether a version should be retrained: it has changed, and the data have no faults.

    A model trained on faulty data would learn the faults.
    """
    return has_changed(figures) and not figures.get("DataQualityViolations")


@dataclass(frozen=True)
class Metric:
    """A figure of a window.

    Attributes:
        name: Its name.
        value: Its value.
        environment: The environment.
    """

    name: str
    value: float
    environment: str


def publish(place: Place, event: Mapping[str, Any], emit: Callable[[list[Metric]], None]) -> dict[str, str]:
    """Publish a window.

    Args:
        place: The storage.
        event: The event of the step: `environment`, `report` (the S3 prefix of the results), `start` and `end`.
        emit: Takes the metrics.

    Returns:
        The S3 URI of the HTML report: `report`.

    Raises:
        MlopsError: The results cannot be read.
    """
    environment, folder = event["environment"], event["report"].rstrip("/")
    window = _document(place, f"{folder}/{WINDOW}", _Window)
    figures = _document(place, f"{folder}/{METRICS}", dict[str, float])
    if is_judged(figures):
        figures[DUE] = int(is_due(figures))
    figures |= {EVALUATED: 1, **_version_in_use(place, environment)}
    emit([Metric(name, float(figures[name]), environment) for name in PUBLISHED if name in figures])
    is_chosen = (event["start"], event["end"]) != (AUTO, AUTO)
    if window["enough_rows"] or is_chosen:
        _advance(place, environment, moment(window["end"]))
    return {"report": f"{folder}/report.html"}


def _version_in_use(place: Place, environment: str) -> dict[str, float]:
    """Return the metrics of the version in use; none if there is none."""
    number = place.live(environment)
    if number is None:
        return {}
    version = place.version(number)
    return {LIVE: number, AGE: (datetime.now(UTC) - (version.decided or version.created)) / _DAY}


def _advance(place: Place, environment: str, end: datetime) -> None:
    """Record that a window has been evaluated; one with too few rows stays open, and the next one includes it."""
    before = last_end(place, environment)
    if before is None or end > before:
        uri = f"{place.layout.results(environment)}/{LAST_WINDOW}"
        place.write(uri, json.dumps({"end": timestamp(end)}).encode())


class _Window(TypedDict):
    end: str
    enough_rows: bool


def _document(place: Place, uri: str, shape: type[T]) -> T:
    content = place.read(uri)
    if content is None:
        raise MlopsError(f"The result of the comparison is missing: {uri}.")
    return parse_document(content, shape, f"The result of the comparison is damaged: {uri}", "Start monitoring again.")
