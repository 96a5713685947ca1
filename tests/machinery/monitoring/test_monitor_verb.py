"""`mlops monitor`: windows, versions, what is said and what is kept."""

import json
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import mlops.base.capture as capture
from model.schema import SCHEMA
from modelkit import dataset, synthetic
from tests.projects import SLUG, mlops, mlops_json


def at(ago: timedelta) -> datetime:
    """A moment so long before this one, not before the test's module was loaded."""
    return datetime.now(UTC).replace(microsecond=0) - ago


def settled() -> tuple[str, str]:
    """The option for a window that has ended long enough ago for nothing to be on its way any more."""
    return "--until", f"{at(timedelta(seconds=10)):%Y-%m-%dT%H:%M:%SZ}"


BASELINE = "DriftCheckBaselines"


def predictions(project: Path) -> list[str]:
    """What the version predicts for the test set."""
    path = min((project / ".mlops/s3/local-bucket" / SLUG / "runs").rglob("predictions.json"))
    feature = json.loads(path.read_text())["features"][0]
    levels = feature["numerical_statistics"]["distribution"]["kll"]["sketch"]["data"]
    return [str(value) for height, level in enumerate(levels) for value in level * 2**height]


def results(project: Path) -> Path:
    """The folder of the results of the last window."""
    return max((project / ".mlops/s3/local-bucket" / SLUG / "monitoring/local").glob("*/report"))


def capture_traffic(
    project: Path,
    version: int,
    rows: int,
    drift: float = 0.0,
    ago: timedelta = timedelta(hours=2),
    *,
    torn: bool = False,
    answer: str = "",
) -> None:
    """Write what a server would have captured: a row a request, at one time, by default answered as on the test set."""
    drawn = synthetic.resample(
        dataset.read_typed(project / "data/raw", SCHEMA), SCHEMA, rows, seed=version, drift=drift
    )
    encoder = capture.Encoder("text/csv", "text/csv")
    moment = at(ago)
    lines = []
    answers = random.Random(version).choices([answer] if answer else predictions(project), k=rows)
    for row in drawn.select(list(SCHEMA.feature_names)).to_pylist():
        answered = answers.pop()
        body = ",".join("" if value is None else str(int(value) if value is True else value) for value in row.values())
        record = json.loads(encoder.record(body.replace("False", "0").encode(), f"{answered}\n".encode()))
        record["eventMetadata"]["inferenceTime"] = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        lines.append(json.dumps(record) + "\n")
    if torn:
        lines.append(lines[0][:100])
    folder = project / ".mlops/s3/local-bucket" / SLUG / "capture" / str(version) / f"{SLUG}-local" / "AllTraffic"
    path = folder / capture.object_name(moment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


@pytest.fixture
def approved(after_run: Path) -> Path:
    mlops(after_run, "approve", "1")
    return after_run


def registered_again(project: Path) -> None:
    """A second version, as if the pipeline had run again, approved."""
    group = project / ".mlops/registry/local" / SLUG
    record = json.loads((group / "1.json").read_text())
    record |= {"ModelPackageVersion": 2, "ModelPackageArn": record["ModelPackageArn"][:-1] + "2", "CreatedBy": "test"}
    (group / "2.json").write_text(json.dumps(record))
    mlops(project, "approve", "2")


def test_traffic_like_the_data_is_no_drift_and_drifted_traffic_is(approved: Path) -> None:
    capture_traffic(approved, 1, 500, ago=timedelta(hours=5))
    capture_traffic(approved, 1, 500, drift=1.0, ago=timedelta(hours=2), torn=True)
    first = mlops_json(approved, "monitor", "--until", f"{at(timedelta(hours=4)):%Y-%m-%dT%H:%M:%SZ}")
    assert (first["versions"]["1"]["rows"], first["versions"]["1"]["drift"]) == (500, False)
    second = mlops_json(approved, "monitor")
    assert second["start"] == first["end"]
    found = second["versions"]["1"]
    assert (found["rows"], found["torn"], found["drift"], found["quality"]) == (500, 1, True, False)
    report = Path(second["report"]).read_text()
    assert "income" in report
    assert "Incomplete records skipped: 1." in report
    pairs = re.findall(r'<td><div class="pair">(.*?)</td>', report, re.DOTALL)
    assert len(pairs) == len(SCHEMA.feature_names)
    for pair in pairs:
        found = re.findall(r'height="([\d.]+)"><title>.*?: ([\d.]+) %', pair)
        bars = [(float(height), float(share)) for height, share in found]
        highest = max(share for _, share in bars)
        assert all(height == pytest.approx(62 * share / highest, abs=0.5) for height, share in bars)
    kept = Path(second["report"]).parent / "1"
    violations = json.loads((kept / "constraint_violations.json").read_text())["violations"]
    assert {violation["constraint_check_type"] for violation in violations} == {"baseline_drift_check"}
    assert all(set(each) == {"feature_name", "constraint_check_type", "description"} for each in violations)
    statistics = json.loads((kept / "statistics.json").read_text())
    assert [feature["name"] for feature in statistics["features"]] == list(SCHEMA.feature_names)


def test_no_traffic_never_alarms(approved: Path) -> None:
    output = mlops(approved, "monitor", *settled(), "--since", "1h", "--retrain").stdout
    assert "No requests" in output
    assert "No retraining" in output


def test_too_few_rows_wait_for_more(approved: Path) -> None:
    capture_traffic(approved, 1, 60, drift=2.0)
    waiting = mlops_json(approved, "monitor")
    assert (waiting["enough_rows"], waiting["report"]) == (False, None)
    capture_traffic(approved, 1, 60, drift=2.0, ago=timedelta(hours=1))
    found = mlops_json(approved, "monitor")
    assert found["enough_rows"]
    assert found["versions"]["1"]["rows"] == 120


def test_a_window_that_spans_a_promotion_is_split_by_version(approved: Path) -> None:
    registered_again(approved)
    capture_traffic(approved, 1, 300, drift=1.5)
    capture_traffic(approved, 2, 300, ago=timedelta(hours=1))
    found = mlops_json(approved, "monitor", *settled())["versions"]
    assert {version: comparison["drift"] for version, comparison in found.items()} == {"1": True, "2": False}


def test_drift_of_a_version_that_is_no_longer_used_starts_nothing(approved: Path) -> None:
    registered_again(approved)
    capture_traffic(approved, 1, 300, drift=1.5)
    output = mlops(approved, "monitor", *settled(), "--retrain").stdout
    assert "DRIFT" in output
    assert "No retraining: version 2, the one in use, got no requests." in output


def test_drift_starts_a_retraining_that_says_why_and_only_once_without_new_data(approved: Path) -> None:
    capture_traffic(approved, 1, 400, drift=1.0)
    refused = mlops_json(approved, "monitor", *settled(), "--since", "3h", "--retrain")
    assert refused["retraining"]["decision"]["outcome"] == "refused"
    assert "no new data" in refused["retraining"]["decision"]["reason"]
    table = synthetic.resample(dataset.read_typed(approved / "data/raw", SCHEMA), SCHEMA, 2_000, seed=5, drift=1.0)
    synthetic.write(table, approved / "data/raw/later.csv")
    capture_traffic(approved, 1, 400, drift=1.0, ago=timedelta(minutes=5))
    mlops(approved, "monitor", "--since", "10m", "--retrain")
    (version,) = mlops_json(approved, "models", "2")
    assert version["metadata"]["RunReason"].startswith("drift: 12 of 17 features drifted")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "'yesterday' is not a time"),
        (["--since", "1h", "--until", "2h"], "ends before it starts"),
        (["--until", "2999-01-01"], "is in the future"),
        (["--environment", "dev"], "No requests are captured in dev"),
        (["--environment", "mars"], "mars"),
        (["--data", "x.csv"], "--retrain"),
        (["--data", "x.csv", "--retrain"], "x.csv does not exist"),
    ],
)
def test_a_bad_argument_is_refused_by_name(approved: Path, arguments: list[str], said: str) -> None:
    result = mlops(approved, "monitor", *arguments, check=False)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (approved / ".mlops/monitoring").exists()


def baseline_of(project: Path, document: str) -> Path:
    record = json.loads((project / ".mlops/registry/local" / SLUG / "1.json").read_text())
    uri = record[BASELINE]["ModelDataQuality"][document]["S3Uri"]
    return project / ".mlops/s3" / str(uri).removeprefix("s3://")


@pytest.mark.parametrize("content", [None, "{", "{}", '{"features": [{"name": "age"}]}'])
def test_a_baseline_that_is_gone_or_damaged_is_an_error_and_leaves_nothing(approved: Path, content: str | None) -> None:
    capture_traffic(approved, 1, 200)
    path = baseline_of(approved, "Statistics")
    path.unlink() if content is None else path.write_text(content)
    result = mlops(approved, "monitor", *settled(), check=False)
    assert result.returncode == 1
    assert "statistics.json" in result.stderr or "baseline" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((approved / ".mlops/s3/local-bucket" / SLUG / "monitoring").rglob("report.html"))
    assert not list(approved.rglob("last-window.json"))


def test_a_version_registered_without_a_baseline_is_named(approved: Path) -> None:
    capture_traffic(approved, 1, 200)
    path = approved / ".mlops/registry/local" / SLUG / "1.json"
    record: dict[str, Any] = json.loads(path.read_text())
    del record[BASELINE]
    path.write_text(json.dumps(record))
    result = mlops(approved, "monitor", *settled(), check=False)
    assert result.returncode == 1
    assert "Version 1 was registered without a baseline" in result.stderr


def test_values_that_go_missing_are_a_fault_of_the_data_and_no_reason_to_retrain(approved: Path) -> None:
    capture_traffic(approved, 1, 300)
    (path,) = (approved / ".mlops/s3/local-bucket" / SLUG / "capture").rglob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    income = SCHEMA.feature_names.index("income")
    for line in lines:
        values = line["captureData"]["endpointInput"]["data"].split(",")
        values[income] = ""
        line["captureData"]["endpointInput"]["data"] = ",".join(values)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    output = mlops(approved, "monitor", *settled(), "--retrain").stdout
    assert "DATA QUALITY" in output
    assert "income: Completeness 0.0000" in output
    assert "No retraining" in output


def test_the_same_window_can_be_evaluated_once_more(approved: Path) -> None:
    capture_traffic(approved, 1, 200)
    window = ("--since", "3h", "--until", f"{at(timedelta(hours=1)):%Y-%m-%dT%H:%M:%SZ}")
    first = mlops_json(approved, "monitor", *window)
    capture_traffic(approved, 1, 100)
    second = mlops_json(approved, "monitor", *window)
    assert [found["versions"]["1"]["rows"] for found in (first, second)] == [200, 300]
    assert first["report"] != second["report"]
    assert first["end"] == second["end"]


def test_traffic_of_which_nothing_can_be_read_is_not_taken_for_none(approved: Path) -> None:
    capture_traffic(approved, 1, 200, answer="maybe")
    (path,) = (approved / ".mlops/s3/local-bucket" / SLUG / "capture").rglob("*.jsonl")
    output = mlops(approved, "monitor", *settled(), "--since", "3h").stdout
    assert "200 unreadable records" in output
    assert f"{path.name}:1" in output
    assert "No requests" not in output
    report = (results(approved) / "report.html").read_text()
    assert "Unreadable records: 200" in report


def test_the_report_does_not_call_a_few_rows_free_of_drift(approved: Path) -> None:
    capture_traffic(approved, 1, 1)
    output = mlops(approved, "monitor", *settled(), "--since", "3h").stdout
    assert "Version 1: 1 row in 1 request, " in output
    assert "too few rows to detect drift" in output
    report = (results(approved) / "report.html").read_text()
    assert report.count("not evaluated") == 2
    assert "too few to detect drift" in report


@pytest.mark.parametrize("ago", [None, "3h"])
def test_drift_that_cannot_be_told_or_comes_with_faults_starts_nothing(approved: Path, ago: str | None) -> None:
    capture_traffic(approved, 1, 60 if ago is None else 300, drift=2.0)
    if ago:
        (path,) = (approved / ".mlops/s3/local-bucket" / SLUG / "capture").rglob("*.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            values = line["captureData"]["endpointInput"]["data"].split(",")
            values[SCHEMA.feature_names.index("income")] = ""
            line["captureData"]["endpointInput"]["data"] = ",".join(values)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    output = mlops(approved, "monitor", *settled(), "--retrain", *(["--since", ago] if ago else [])).stdout
    assert ("DRIFT" in output) == bool(ago)
    why = "has drifted, but the data fails its quality checks" if ago else "got too few rows to detect drift"
    assert f"No retraining: version 1 {why}" in output


def test_labels_that_cannot_be_used_are_named(approved: Path) -> None:
    capture_traffic(approved, 1, 200)
    folder = approved / ".mlops/s3/local-bucket" / SLUG / "ground-truth/local"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(f"inference_id,{SCHEMA.target}\nnobody,1\n")
    (folder / "b.csv").write_text("inference_id,another\nnobody,1\n")
    output = mlops(approved, "monitor", *settled(), "--since", "3h").stdout
    assert "Labels: 1 unreadable lines or files, 1 ids without a captured request" in output
    assert "    local/b.csv:1" in output
