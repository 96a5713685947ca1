"""What a window comes to: its metrics, and where the next window begins."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from mlops.base.errors import MlopsError
from mlops.monitoring.place import Layout, Place
from mlops.monitoring.publish import AGE, DUE, EVALUATED, LIVE, PUBLISHED, Metric, publish
from mlops.registry.versions import APPROVED, ModelVersion

FOLDER = "s3://data/visits/monitoring/production/run/report"
LAST = "s3://data/visits/monitoring/production/last-window.json"
EVENT = {"environment": "production", "report": f"{FOLDER}/", "start": "auto", "end": "auto"}
END = "2026-11-20T06:00:00Z"
FIGURES = {"Rows": 500, "Drift": 1, "DataQualityViolations": 0}


@dataclass
class FakePlace:
    """Objects in memory, and at most one version in use."""

    objects: dict[str, bytes]
    decided: datetime | None = None
    live_version: int | None = None
    layout: Layout = field(default_factory=lambda: Layout("visits", "s3://captured/visits", "s3://data/visits"))

    def read(self, uri: str) -> bytes | None:
        return self.objects.get(uri)

    def write(self, uri: str, content: bytes) -> None:
        self.objects[uri] = content

    def live(self, environment: str) -> int | None:
        assert environment == "production"
        return self.live_version

    def version(self, number: int) -> ModelVersion:
        created = datetime.now(UTC) - timedelta(days=40)
        return ModelVersion(number, f"arn/{number}", APPROVED, created, self.decided, "", "", "", (), {})


def place(figures: Mapping[str, Any] = FIGURES, *, enough_rows: bool = True, **attributes: Any) -> FakePlace:
    window = {"end": END, "enough_rows": enough_rows}
    documents = {f"{FOLDER}/window.json": window, f"{FOLDER}/metrics.json": figures}
    return FakePlace({uri: json.dumps(document).encode() for uri, document in documents.items()}, **attributes)


def published(at: FakePlace, **event: str) -> dict[str, float]:
    found: list[Metric] = []
    assert publish(cast("Place", at), EVENT | event, found.extend) == {"report": f"{FOLDER}/report.html"}
    assert {metric.environment for metric in found} == {"production"}
    assert {metric.name for metric in found} <= set(PUBLISHED)
    return {metric.name: metric.value for metric in found}


def test_the_figures_of_the_job_are_published_with_what_follows_from_them() -> None:
    assert published(place()) == {**FIGURES, DUE: 1, EVALUATED: 1}


@pytest.mark.parametrize(
    ("figures", "due"),
    [
        ({"Drift": 0, "DataQualityViolations": 0}, 0),
        ({"Drift": 0, "DataQualityViolations": 0, "ModelQualityDegraded": 1}, 1),
        ({"Drift": 1, "DataQualityViolations": 2}, 0),
    ],
)
def test_retraining_is_due_after_drift_or_loss_of_quality_unless_the_data_have_faults(
    figures: dict[str, int], due: int
) -> None:
    assert published(place(figures))[DUE] == due


def test_a_window_whose_drift_was_not_evaluated_says_nothing_of_retraining() -> None:
    assert published(place({"Rows": 0})) == {"Rows": 0, EVALUATED: 1}


@pytest.mark.parametrize(("decided", "days"), [(timedelta(days=3), 3), (None, 40)])
def test_the_age_of_the_version_in_use_counts_from_its_approval_or_else_its_registration(
    decided: timedelta | None, days: int
) -> None:
    found = published(place(live_version=7, decided=decided and datetime.now(UTC) - decided))
    assert found[LIVE] == 7
    assert found[AGE] == pytest.approx(days, abs=0.01)


def test_the_next_window_begins_where_one_with_enough_rows_ended() -> None:
    few, enough, chosen = place(enough_rows=False), place(), place(enough_rows=False)
    published(few)
    published(enough)
    published(chosen, start="2026-11-19T06:00:00Z", end=END)
    assert LAST not in few.objects
    assert json.loads(enough.objects[LAST]) == json.loads(chosen.objects[LAST]) == {"end": END}


def test_the_next_window_never_begins_earlier_than_before() -> None:
    at, later = place(), json.dumps({"end": "2026-11-21T06:00:00Z"}).encode()
    at.objects[LAST] = later
    published(at)
    assert at.objects[LAST] == later


def test_a_missing_result_is_named() -> None:
    at = place()
    del at.objects[f"{FOLDER}/metrics.json"]
    with pytest.raises(MlopsError, match=r"metrics\.json"):
        publish(cast("Place", at), EVENT, lambda _: None)
