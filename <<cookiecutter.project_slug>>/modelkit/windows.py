"""The documents of a window: what to compare, and what was found."""

from dataclasses import dataclass
from pathlib import Path

from modelkit import documents
from modelkit.intervals import Interval, IntervalDocument
from modelkit.job import JobError
from modelkit.labels import LabelCounts
from modelkit.violations import WindowDocument, is_data_quality

WINDOW_FILE = "window.json"
METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Request:
    """The window to compare, as `window.json` says.

    Attributes:
        window: The window.
        labels: The interval of the requests whose labels are evaluated; None for none.
        live: The version in use; None if there is none.
        project_name: The project.
        environment: The environment.
    """

    window: Interval
    labels: Interval | None
    live: int | None
    project_name: str
    environment: str

    @classmethod
    def read(cls, path: Path) -> "Request":
        """Read the file.

        Raises:
            JobError: It is missing or damaged.
        """
        try:
            document = documents.read(path)
            labels = document["labels"]
            return cls(
                Interval.from_document(document),
                None if labels is None else Interval.from_document(labels),
                None if document["live"] is None else int(document["live"]),
                document["project_name"],
                document["environment"],
            )
        except (ValueError, LookupError, TypeError) as error:
            raise JobError(f"{path}: the window cannot be read: {error!r}") from error


class LabelsDocument(IntervalDocument, LabelCounts):
    """The interval of the requests that labels are joined to, and the numbers of labels."""


class Window(IntervalDocument):
    """The document `window.json` of a compared window.

    Attributes:
        environment: The environment.
        live: The version in use.
        min_rows: The number of rows that a window needs.
        enough_rows: Whether all versions together have so many.
        limits: The limits of differences, by name.
        labels: The labels; None if none were read.
        versions: The comparison of each version, by version.
    """

    environment: str
    live: int | None
    min_rows: int
    enough_rows: bool
    limits: dict[str, float]
    labels: LabelsDocument | None
    versions: dict[str, WindowDocument]


def metrics(live: WindowDocument | None, min_rows: int) -> dict[str, float]:
    """Return the metrics of the version in use, by name; those that were not evaluated are absent.

    Args:
        live: Its comparison; None if it got no requests.
        min_rows: The number of rows that drift needs.
    """
    if live is None:
        return {"Rows": 0, "Requests": 0, "UnreadableRecords": 0}
    found: dict[str, float] = {
        "Rows": live["rows"], "Requests": live["records"], "UnreadableRecords": live["damaged"],
    }  # fmt: skip
    if live["rows"] >= min_rows:
        found |= {
            "DriftedFeatures": len(live["drifted"]) / max(1, len(live["features"])),
            "Drift": int(live["drift"]),
            "DataQualityViolations": sum(map(is_data_quality, live["violations"])),
        }
        if live["prediction_drift"]:
            found["PredictionDistance"] = live["prediction_drift"]["distance"]
    if quality := live["model_quality"]:
        found |= {"LabelledRows": quality["rows"], "Accuracy": quality["accuracy"]}
        found |= {name: value for name, value in (("F1", quality["f1"]), ("Auc", quality["auc"])) if value is not None}
        if quality["evaluated"]:
            found["ModelQualityDegraded"] = int(quality["degraded"])
    return found
