"""`modelkit.jobs.compare`: a window of all versions, with labels, metrics and a report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops.base.capture import SMOKE
from mlops.monitoring.publish import PUBLISHED
from modelkit import signature
from modelkit.evaluation import quality
from modelkit.job import write_json
from modelkit.jobs import compare
from modelkit.schema import Column, Schema
from modelkit.statistics import constraints, statistics
from tests.machinery.modelkit.traffic import TIME, arguments, record, write_captured, write_window

ROWS = 400
FEATURES = 10
SMALL = Schema(
    columns=(
        *(Column(f"x{number}", "number", "feature", "", nullable=True) for number in range(FEATURES - 1)),
        Column("colour", "string", "feature", "", nullable=True, categories=("red", "green", "blue")),
        Column("won", "boolean", "target", ""),
        Column("id", "integer", "attribute", ""),
    ),
    group="id",
)

Draw = Callable[..., Any]


def draw(rows: int, seed: int, shift: float = 0.0) -> dict[str, Any]:
    """Features, predictions and labels of a population, of which `shift` moves the first feature."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"x{number}": random.normal(size=rows) for number in range(FEATURES - 1)}
    columns["x0"] = columns["x0"] + shift
    columns["colour"] = random.choice(["red", "green", "blue"], rows, p=[0.6, 0.3, 0.1])
    predictions = 1 / (1 + np.exp(-random.normal(size=rows)))
    return {"columns": columns, "predictions": predictions, "labels": random.random(rows) < predictions}


def write_baseline(folder: Path, seed: int = 0, predictions: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw(3_000, seed)
    found = statistics(pa.table(drawn["columns"]))
    write_json(folder / "statistics.json", found)
    write_json(folder / "constraints.json", constraints(found))
    signature.write(folder, SMALL, [])
    if predictions:
        write_json(folder / "predictions.json", statistics(pa.table({"prediction": drawn["predictions"]})))
        metrics = quality(drawn["labels"], drawn["predictions"])
        write_json(folder / "evaluation.json", {"threshold": 0.4, "binary_classification_metrics": metrics})


def lines(drawn: dict[str, Any], prefix: str = "r", time: str = TIME) -> list[bytes]:
    """A request per row."""
    rows = zip(*drawn["columns"].values(), strict=True)
    return [
        record(",".join(map(str, row)) + "\n", f"{prediction}\n", f"{prefix}{number}", time)
        for number, (row, prediction) in enumerate(zip(rows, drawn["predictions"].tolist(), strict=True))
    ]


def label_lines(drawn: dict[str, Any], prefix: str = "r") -> str:
    labels = "".join(f"{prefix}{number},{int(label)}\n" for number, label in enumerate(drawn["labels"]))
    return f"inference_id,won\n{labels}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_window(tmp_path / "window")
    write_baseline(tmp_path / "window/1")
    (tmp_path / "labels").mkdir()
    return tmp_path


def run(folder: Path, **changed: Any) -> dict[str, Any]:
    assert compare.main(arguments(folder, **changed)) == 0
    window: dict[str, Any] = json.loads((folder / "output/window.json").read_text())
    return window


def metrics(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "output/metrics.json").read_text())
    assert found.keys() <= set(PUBLISHED)
    return found


def with_labels(folder: Path, text: str) -> None:
    interval = {"start": "2026-01-31T23:00:00Z", "end": "2026-02-01T00:00:00Z"}
    write_window(folder / "window", labels=interval)
    (folder / "labels/a.csv").write_text(text)


def test_a_window_like_the_baseline_raises_no_alarm_and_is_described(folder: Path) -> None:
    write_captured(folder / "captured", *lines(draw(ROWS, seed=1)))
    window = run(folder)
    found = window["versions"]["1"]
    assert (window["start"], window["live"], window["enough_rows"], window["labels"]) == (
        "2026-01-31T23:00:00Z", 1, True, None,
    )  # fmt: skip
    assert (found["rows"], found["records"], found["violations"], found["drift"]) == (ROWS, ROWS, [], False)
    assert found["prediction_drift"] == {"distance": 0.0, "drifted": False}
    assert found["model_quality"] is None
    assert sum(found["predictions"]["histogram"]) == ROWS
    output = folder / "output/1"
    assert found == json.loads((output / "comparison.json").read_text())
    assert json.loads((output / "statistics.json").read_text())["dataset"]["item_count"] == ROWS
    assert {path.name for path in output.iterdir()} == {
        "statistics.json", "constraints.json", "constraint_violations.json", "comparison.json",
    }  # fmt: skip
    assert metrics(folder) == {
        "Rows": ROWS, "Requests": ROWS, "UnreadableRecords": 0, "DriftedFeatures": 0.0, "Drift": 0,
        "PredictionDistance": 0.0, "DataQualityViolations": 0,
    }  # fmt: skip
    report = (folder / "output/report.html").read_text()
    assert "Visits: monitoring report" in report
    assert "nothing. The requests resemble the training data." in report


def test_predictions_that_drift_are_a_violation_and_drift(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    drawn["predictions"] = drawn["predictions"] ** 0.3
    write_captured(folder / "captured", *lines(drawn))
    found = run(folder)["versions"]["1"]
    assert found["prediction_drift"]["drifted"]
    assert (found["drift"], found["drifted"], found["quality"]) == (True, [], False)
    assert [(each["feature_name"], each["constraint_check_type"]) for each in found["violations"]] == [
        ("prediction", "baseline_drift_check")
    ]
    assert metrics(folder)["Drift"] == 1
    assert metrics(folder)["PredictionDistance"] == found["prediction_drift"]["distance"] > 0.1


def test_a_version_of_an_older_release_has_no_prediction_drift_and_no_auc_to_compare_with(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    for name in ("predictions.json", "evaluation.json"):
        (folder / "window/1" / name).unlink()
    with_labels(folder, label_lines(drawn))
    write_captured(folder / "captured", *lines(drawn))
    found = run(folder)["versions"]["1"]
    assert found["prediction_drift"] is None
    assert (found["model_quality"]["baseline_auc"], found["model_quality"]["evaluated"]) == (None, False)
    assert not {"PredictionDistance", "ModelQualityDegraded"} & metrics(folder).keys()
    assert "there is nothing to compare with" in (folder / "output/report.html").read_text()


def test_labels_are_joined_and_the_quality_is_that_of_the_evaluation(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    with_labels(folder, label_lines(drawn))
    write_captured(folder / "captured", *lines(drawn))
    found = run(folder)["versions"]["1"]["model_quality"]
    expected = quality(drawn["labels"], drawn["predictions"].astype(np.float32), 0.4)
    assert (found["rows"], found["positives"], found["labelled_share"]) == (ROWS, drawn["labels"].sum(), 1.0)
    assert all(found[name] == expected[name]["value"] for name in ("auc", "accuracy", "recall", "f1", "log_loss"))
    assert (found["evaluated"], found["degraded"]) == (True, False)
    document = json.loads((folder / "output/1/model_quality.json").read_text())
    assert document["binary_classification_metrics"]["confusion_matrix"] == expected["confusion_matrix"]
    published = metrics(folder)
    assert (published["LabelledRows"], published["Auc"], published["ModelQualityDegraded"]) == (ROWS, found["auc"], 0)
    assert "Model quality of version 1" in (folder / "output/report.html").read_text()


def test_an_evaluation_of_other_metrics_is_not_compared_with(folder: Path) -> None:
    write_json(folder / "window/1/evaluation.json", {"binary_classification_metrics": {"lift": {"value": 2.0}}})
    drawn = draw(ROWS, seed=1)
    write_captured(folder / "captured", *lines(drawn))
    with_labels(folder, label_lines(drawn))
    found = run(folder)["versions"]["1"]["model_quality"]
    assert (found["rows"], found["baseline_auc"], found["evaluated"]) == (ROWS, None, False)


def test_labels_that_contradict_the_predictions_degrade_the_quality(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    write_captured(folder / "captured", *lines(drawn))
    with_labels(folder, label_lines({"labels": ~drawn["labels"]}))
    assert run(folder)["versions"]["1"]["model_quality"]["degraded"]
    assert metrics(folder)["ModelQualityDegraded"] == 1
    assert "retrain on recent data with labels" in (folder / "output/report.html").read_text()


@pytest.mark.parametrize("label", [False, True])
def test_labels_of_one_class_leave_out_what_they_do_not_define(folder: Path, label: bool) -> None:
    write_captured(folder / "captured", *lines(draw(ROWS, seed=1)))
    with_labels(folder, label_lines({"labels": np.full(ROWS, label)}))
    found = run(folder)["versions"]["1"]["model_quality"]
    assert (found["auc"], found["evaluated"], found["degraded"]) == (None, False, False)
    assert found["recall"] == found["accuracy"] if label else found["recall"] is None
    assert (found["f1"] is None, found["precision"] is None) == (not label, not label)
    assert not {"Auc", "ModelQualityDegraded"} & metrics(folder).keys()
    assert ("F1" in metrics(folder)) == label
    written = json.loads((folder / "output/1/model_quality.json").read_text())["binary_classification_metrics"]
    assert {"auc", "true_negative_rate" if label else "true_positive_rate"}.isdisjoint(written)
    report = (folder / "output/report.html").read_text()
    assert f"All labels are {str(label).lower()}, so " in report
    assert "nan" not in report.lower().replace("nano", "")


def test_the_labels_of_earlier_requests_are_joined_without_counting_these_in_the_window(folder: Path) -> None:
    drawn, earlier = draw(ROWS, seed=1), draw(150, seed=2)
    write_captured(folder / "captured", *lines(drawn))
    old = lines(earlier, "old", "2026-01-24T10:00:00.5Z")
    write_captured(folder / "captured", *old, b"damaged\n", hour="2026/01/24/10")
    interval = {"start": "2026-01-24T00:00:00Z", "end": "2026-01-25T00:00:00Z"}
    write_window(folder / "window", labels=interval)
    (folder / "labels/a.csv").write_text(label_lines(earlier, "old") + "unknown,1\n")
    window = run(folder)
    found = window["versions"]["1"]
    assert (found["rows"], found["records"], found["damaged"]) == (ROWS, ROWS, 0)
    assert found["model_quality"]["rows"] == 150
    assert window["labels"] == {
        **interval, "ids": 151, "without_request": 1, "repeated": 0, "unreadable": 0, "unreadable_at": [],
    }  # fmt: skip


def test_records_without_a_response_count_for_the_features_only(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    bodies = [",".join(map(str, row)) + "\n" for row in zip(*drawn["columns"].values(), strict=True)]
    write_captured(folder / "captured", *(record(body, None) for body in bodies))
    found = run(folder)["versions"]["1"]
    assert (found["rows"], found["damaged"], found["predictions"]["mean"]) == (ROWS, 0, None)
    assert found["prediction_drift"] is None
    assert sum(found["predictions"]["histogram"]) == 0


def test_each_version_is_compared_with_its_own_baseline_and_the_metrics_are_those_of_the_live_one(folder: Path) -> None:
    write_window(folder / "window", versions=(1, 2), live=2)
    write_baseline(folder / "window/2", seed=5)
    write_captured(folder / "captured", *lines(draw(ROWS, seed=1, shift=3)))
    write_captured(folder / "captured", *lines(draw(50, seed=6)), version=2)
    window = run(folder)
    assert {version: found["drifted"] for version, found in window["versions"].items()} == {"1": ["x0"], "2": []}
    assert metrics(folder) == {"Rows": 50, "Requests": 50, "UnreadableRecords": 0}


def test_traffic_of_a_version_without_a_baseline_is_an_error_that_names_it(folder: Path, capsys: Any) -> None:
    write_captured(folder / "captured", *lines(draw(5, seed=1)), version=7)
    assert compare.main(arguments(folder)) == 1
    assert "version 7 got requests" in capsys.readouterr().err


def test_other_traffic_of_a_version_without_a_baseline_is_ignored(folder: Path) -> None:
    old = lines(draw(5, seed=1), time="2026-01-31T22:59:59Z")
    write_captured(folder / "captured", *old, *lines(draw(5, seed=1), SMOKE), b"damaged\n", version=7)
    assert run(folder)["versions"].keys() == {"1"}


def test_what_strangers_wrote_is_text_in_the_report(folder: Path) -> None:
    write_window(folder / "window", project_name="<b>Visits</b>")
    drawn = draw(ROWS, seed=1)
    drawn["columns"]["colour"] = np.where(np.arange(ROWS) % 2, "<script>alert(1)</script>", "red")
    write_captured(folder / "captured", *lines(drawn))
    run(folder)
    report = (folder / "output/report.html").read_text()
    assert "&lt;script&gt;" in report
    assert "&lt;b&gt;Visits" in report
    assert "<script" not in report


def test_many_unknown_categories_are_counted_though_they_are_not_all_listed(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    drawn["columns"]["colour"] = np.array([f"odd-{number}" for number in range(ROWS)])
    write_captured(folder / "captured", *lines(drawn))
    texts = [each["description"] for each in run(folder)["versions"]["1"]["violations"]]
    assert any(text.startswith(f"{ROWS} of {ROWS} values are not in the baseline: odd-") for text in texts)


@pytest.mark.parametrize("live", [1, 2, None])
def test_no_traffic_never_alarms(folder: Path, live: int | None) -> None:
    write_window(folder / "window", live=live)
    window = run(folder, ground_truth=folder / "missing")
    assert (window["enough_rows"], window["versions"]["1"]["rows"]) == (False, 0)
    assert metrics(folder) == {"Rows": 0, "Requests": 0, "UnreadableRecords": 0}
    assert "not evaluated" in (folder / "output/report.html").read_text()


def test_files_that_cannot_be_read_are_counted_and_do_not_stop_the_job(folder: Path) -> None:
    good = lines(draw(ROWS, seed=1))
    write_captured(folder / "captured", *good[:200], name="a")
    write_captured(folder / "captured", name="empty")
    write_captured(folder / "captured", bytes(range(256)) * 50, name="binary")
    write_captured(folder / "captured", *good[200:], good[0][:50], name="torn")
    found = run(folder)["versions"]["1"]
    assert (found["rows"], found["torn"]) == (ROWS, 2)
    assert found["damaged"] == 50
    assert found["damaged_at"][0] == "1/endpoint/AllTraffic/2026/01/31/23/binary.jsonl:1"
    assert metrics(folder)["UnreadableRecords"] == 50


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("window.json", "{}", "window.json: the window cannot be read"),
        ("window.json", None, "window.json: the window cannot be read"),
        ("1/statistics.json", None, "statistics.json: the baseline cannot be read"),
        ("1/statistics.json", "{}", "not in Model Monitor's format"),
        ("1/predictions.json", "[", "predictions.json: the baseline cannot be read"),
        ("1/schema.json", "{}", "the model's schema cannot be read"),
    ],
)
def test_a_damaged_window_is_refused_with_its_reason(
    folder: Path, capsys: Any, file: str, content: str | None, said: str
) -> None:
    write_captured(folder / "captured", *lines(draw(ROWS, seed=1)))
    path = folder / "window" / file
    path.unlink() if content is None else path.write_text(content)
    assert compare.main(arguments(folder, failure_file=folder / "failure")) == 1
    assert said in capsys.readouterr().err
    assert said in (folder / "failure").read_text()


@pytest.mark.parametrize("bounds", [("2026-02-01T00:00:00Z", "2026-01-31T00:00:00Z"), ("yesterday", "2026-01-31")])
def test_a_window_that_is_none_is_refused(folder: Path, capsys: Any, bounds: tuple[str, str]) -> None:
    write_window(folder / "window", start=bounds[0], end=bounds[1])
    assert compare.main(arguments(folder)) == 1
    assert "the window cannot be read" in capsys.readouterr().err


def with_pair(folder: Path, drawn: dict[str, Any], **entry: Any) -> None:
    """Let the rows and predictions be a pair of files, as transform jobs and asynchronous endpoints leave them."""
    rows = zip(*drawn["columns"].values(), strict=True)
    root = "captured" if entry.get("beside_output") else "input"
    for place, name, content in (
        (root, "a.csv", (",".join(map(str, row)) for row in rows)),
        ("captured", "a.csv.out", map(str, drawn["predictions"])),
    ):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / name).write_text("".join(f"{line}\n" for line in content))
    pair = {
        "input": "a.csv", "beside_output": False, "output": "a.csv.out", "time": TIME, "id": "a", "input_type": "",
        "output_type": "",
    }  # fmt: skip
    unreadable = ["s3://data/b.csv: it has no output"]
    write_json(folder / "window/1/pairs.json", {"pairs": [pair | entry], "unreadable": unreadable})


@pytest.mark.parametrize("beside_output", [False, True])
def test_predictions_in_files_are_compared_like_requests(folder: Path, beside_output: bool) -> None:
    with_pair(folder, draw(ROWS, seed=1), beside_output=beside_output)
    found = run(folder)["versions"]["1"]
    assert (found["rows"], found["records"], found["drift"], found["damaged"]) == (ROWS, 1, False, 1)
    assert found["prediction_drift"] == {"distance": 0.0, "drifted": False}
    assert found["model_quality"] is None
    assert metrics(folder)["UnreadableRecords"] == 1


def test_labels_of_a_file_are_in_the_order_of_its_rows(folder: Path) -> None:
    drawn = draw(ROWS, seed=1)
    with_pair(folder, drawn, id="visits/batch/a.csv")
    labels = "".join(f"visits/batch/a.csv,{int(label)}\n" for label in drawn["labels"])
    with_labels(folder, f"inference_id,won\n{labels}")
    quality = run(folder)["versions"]["1"]["model_quality"]
    assert (quality["rows"], quality["unlabelled"], quality["mismatched"]) == (ROWS, 0, 0)
    write_captured(folder / "captured", *lines(drawn))
    (folder / "window/1/pairs.json").unlink()
    with_labels(folder, label_lines(drawn))
    assert run(folder)["versions"]["1"]["model_quality"]["auc"] == quality["auc"]
