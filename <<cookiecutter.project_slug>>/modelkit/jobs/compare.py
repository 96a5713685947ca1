"""Compare the requests of a time window with the training data of the versions that answered them.

Each version is compared with its own baseline, and read with the schema that it was trained with. Where labels have
arrived, its predictions are compared with them. The results are documents in the formats of SageMaker Model Monitor,
metrics of the version in use, and a report.
"""

import argparse
import itertools
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelkit import charts, documents, quality, signature
from modelkit.baseline import CONSTRAINTS_FILE, EVALUATION_FILE, PREDICTION, PREDICTIONS_FILE, STATISTICS_FILE
from modelkit.captured import Captured, table_schema
from modelkit.charts import histogram
from modelkit.intervals import Interval
from modelkit.job import JobError, JobParser, run, write_json
from modelkit.labels import Joined, Labels
from modelkit.pages import page
from modelkit.pairs import PAIRS_FILE, Pairs
from modelkit.quality import ModelQuality
from modelkit.schema import Schema
from modelkit.signature import SCHEMA_FILE
from modelkit.statistics import Accumulator, constraints
from modelkit.violations import COMPARISON_FILE, Comparison, Limits, WindowDocument, compare
from modelkit.windows import METRICS_FILE, REPORT_FILE, WINDOW_FILE, Request, Window, metrics

VIOLATIONS_FILE = "constraint_violations.json"
MODEL_QUALITY_FILE = "model_quality.json"


_REMEDY = "restore that document of the version's run, or train and approve a new version"


@dataclass(frozen=True)
class Baseline:
    """What a version is compared with.

    Attributes:
        folder: The folder of the documents below.
        schema: The schema that the version was trained with.
        statistics: The statistics of its training data.
        constraints: The constraints that follow from them.
        evaluation: Its evaluation on the test set; None for versions of older releases.
        predictions: The statistics of its predictions on the test set; None for versions of older releases.
    """

    folder: Path
    schema: Schema
    statistics: dict[str, Any]
    constraints: dict[str, Any]
    evaluation: dict[str, Any] | None
    predictions: dict[str, Any] | None

    @property
    def feature_of_predictions(self) -> dict[str, Any] | None:
        """The statistics of the predictions, as those of a feature."""
        return self.predictions["features"][0] if self.predictions else None

    @classmethod
    def read(cls, folder: Path) -> "Baseline":
        """Read the documents in a folder.

        Raises:
            JobError: One is damaged, or one of the first three is missing.
        """
        try:
            schema, _ = signature.read(folder / SCHEMA_FILE)
        except ValueError as error:
            raise JobError(str(error)) from error
        return cls(
            folder=folder,
            schema=schema,
            statistics=_document(folder / STATISTICS_FILE),
            constraints=_document(folder / CONSTRAINTS_FILE),
            evaluation=_document(folder / EVALUATION_FILE) if (folder / EVALUATION_FILE).is_file() else None,
            predictions=_document(folder / PREDICTIONS_FILE) if (folder / PREDICTIONS_FILE).is_file() else None,
        )


class Traffic:
    """The captured traffic of one version.

    Attributes:
        captured: The counts of its records.
        joined: Its labelled responses.
        features: The statistics of the rows in the window.
        predictions: The statistics of their predictions: one feature.

    Args:
        folder: The folder of its objects, which may be missing.
        schema: The schema that the version was trained with.
        captured: The intervals to read.
        pairs: What batch transform jobs or an asynchronous endpoint have predicted in files.
        labels: The labels; None if there are none.
    """

    def __init__(self, folder: Path, schema: Schema, captured: Captured, pairs: Pairs, labels: Labels | None) -> None:
        self.captured, self.joined = captured, Joined()
        features = Accumulator(table_schema(schema))
        predictions = Accumulator(pa.schema([(PREDICTION, pa.float64())]))
        for batch in itertools.chain(captured.read(folder, schema), pairs.read(schema, captured)):
            features.add(batch.rows)
            predictions.add(pa.table({PREDICTION: batch.predictions}))
            if labels and batch.answers:
                labels.join(batch.answers, self.joined)
        self.features, self.predictions = features.statistics(), predictions.statistics()

    @property
    def rows(self) -> int:
        """The number of rows in the window."""
        return int(self.features["dataset"]["item_count"])


@dataclass(frozen=True)
class Result:
    """What was found for one version.

    Attributes:
        statistics: The statistics of the rows in the window.
        comparison: The comparison with the baseline.
        labelled: The metrics of the labelled rows in the format of Model Monitor; None if there are none.
        charts: The charts of the report.
    """

    statistics: dict[str, Any]
    comparison: WindowDocument
    labelled: dict[str, Any] | None
    charts: dict[str, Any]

    @classmethod
    def of(cls, traffic: Traffic, baseline: Baseline, labels: Labels | None, limits: Limits, min_rows: int) -> "Result":
        """Compare the traffic of a version with its baseline.

        Raises:
            LookupError: The baseline is not in the format of Model Monitor.
            TypeError: The same.
            ValueError: The same.
        """
        known, predictions = baseline.feature_of_predictions, traffic.predictions["features"][0]
        pair = (known, predictions) if known and "numerical_statistics" in predictions else None
        found = Comparison([], [], drift=False, quality=False)
        if traffic.rows:
            found = compare(
                baseline.statistics, baseline.constraints, traffic.features, traffic.captured.invalid, limits, pair
            )
        labelled, judged = None, None
        if labels and len((rows := labels.rows(traffic.joined))[0]):
            labelled = quality.figures(*rows, baseline.evaluation)
            judged = quality.model_quality(labelled, baseline.evaluation, traffic.joined, min_rows, limits.max_auc_loss)
        comparison = _comparison(traffic, found, judged)
        return cls(traffic.features, comparison, labelled, _charts(traffic, baseline))

    def write(self, folder: Path) -> None:
        """Write the documents of the version."""
        write_json(folder / STATISTICS_FILE, self.statistics, indent=None)
        write_json(folder / CONSTRAINTS_FILE, constraints(self.statistics), indent=None)
        write_json(folder / VIOLATIONS_FILE, {"violations": self.comparison["violations"]}, indent=None)
        write_json(folder / COMPARISON_FILE, self.comparison, indent=None)
        if self.labelled:
            document = {"version": 0.0, "binary_classification_metrics": self.labelled}
            write_json(folder / MODEL_QUALITY_FILE, document, indent=None)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step; return exit code 1 if there is nothing to compare with."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.compare", __doc__)
    parser.add_argument(
        "--window", type=Path, required=True, metavar="DIR", help=f"{WINDOW_FILE}, and a folder for each version"
    )
    parser.add_argument("--captured", type=Path, required=True, metavar="DIR", help="the captured objects, by version")
    for side, what in (("input", "rows"), ("output", "predictions")):
        parser.add_argument(
            f"--batch-{side}", type=Path, required=True, metavar="DIR", help=f"the {what} of batch transform jobs"
        )
    parser.add_argument("--ground-truth", type=Path, metavar="DIR", help="the files of labels; may be missing")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the documents")
    parser.add_argument("--min-rows", type=int, required=True, metavar="N", help="rows that a verdict needs")
    for name in Limits.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, required=True, metavar="X")
    parser.add_argument(
        "--test-prefix", required=True, metavar="ID", help="prefix of the inference ids of records to exclude"
    )
    return parser


def _work(arguments: argparse.Namespace) -> None:
    limits = Limits(**{name: getattr(arguments, name) for name in Limits.__dataclass_fields__})
    request = Request.read(arguments.window / WINDOW_FILE)
    baselines = {number: Baseline.read(folder) for number, folder in _versions(arguments.window).items()}
    labels = None
    if request.labels and arguments.ground_truth:
        labels = Labels(arguments.ground_truth, {baseline.schema.target for baseline in baselines.values()})
    interval = request.labels if labels and labels.ids else None
    _require_baselines(arguments, request.window, interval, baselines)
    traffic = {
        number: Traffic(
            arguments.captured / str(number),
            baseline.schema,
            Captured(request.window, interval, arguments.test_prefix),
            Pairs.listed(baseline.folder / PAIRS_FILE, arguments.batch_input, arguments.batch_output),
            labels,
        )
        for number, baseline in baselines.items()
    }
    results = {}
    for number, found in traffic.items():
        baseline = baselines[number]
        try:
            results[number] = Result.of(found, baseline, labels, limits, arguments.min_rows)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise JobError(
                f"{baseline.folder}: the baseline is not in Model Monitor's format: {error!r}; {_REMEDY}"
            ) from error
        results[number].write(arguments.output / str(number))
    comparisons = {number: result.comparison for number, result in results.items()}
    window = _window(request, comparisons, labels, limits, arguments.min_rows)
    write_json(arguments.output / WINDOW_FILE, window)
    live = comparisons.get(request.live) if request.live is not None else None
    write_json(arguments.output / METRICS_FILE, metrics(live, arguments.min_rows))
    bars = {str(number): result.charts for number, result in results.items()}
    text = page("monitor", project_name=request.project_name, window=window, charts=bars)
    (arguments.output / REPORT_FILE).write_text(text, encoding="utf-8")
    for number, comparison in comparisons.items():
        print(f"version {number}: {comparison['rows']} rows, {len(comparison['violations'])} violations")


def _comparison(traffic: Traffic, found: Comparison, judged: ModelQuality | None) -> WindowDocument:
    captured, predictions = traffic.captured, traffic.predictions["features"][0]
    drift = found.predictions
    return {
        "rows": traffic.rows,
        "records": captured.records,
        "smoke": captured.smoke,
        "torn": captured.torn,
        "damaged": captured.damaged,
        "damaged_at": captured.damaged_at,
        "first": f"{captured.first}Z" if captured.first else "",
        "last": f"{captured.last}Z" if captured.last else "",
        "predictions": {
            "mean": predictions.get("numerical_statistics", {}).get("mean"),
            "histogram": histogram(predictions),
        },
        "features": [asdict(feature) for feature in found.features],
        "violations": found.violations,
        "drift": found.drift,
        "quality": found.quality,
        "drifted": found.drifted,
        "prediction_drift": {"distance": drift.distance, "drifted": drift.drifted} if drift else None,
        "model_quality": judged,
    }


def _charts(traffic: Traffic, baseline: Baseline) -> dict[str, Any]:
    before = {feature["name"]: feature for feature in baseline.statistics["features"]}
    return {
        "features": {
            now["name"]: charts.chart(before[now["name"]], now)
            for now in traffic.features["features"]
            if now["name"] in before
        },
        "predictions": charts.predictions(baseline.feature_of_predictions, traffic.predictions["features"][0]),
    }


def _versions(folder: Path) -> dict[int, Path]:
    """Return the folders of versions, by version."""
    return {int(path.name): path for path in sorted(folder.glob("*")) if path.name.isdecimal() and path.is_dir()}


def _require_baselines(
    arguments: argparse.Namespace, window: Interval, labels: Interval | None, known: Collection[int]
) -> None:
    """Reject requests of a version that there is nothing to compare with."""
    for number in sorted(_versions(arguments.captured).keys() - known):
        captured = Captured(window, labels, arguments.test_prefix)
        if captured.finds_records(arguments.captured / str(number)):
            raise JobError(
                f"version {number} got requests, but {arguments.window} has no folder '{number}' with its baseline"
            )


def _window(
    request: Request, comparisons: dict[int, WindowDocument], labels: Labels | None, limits: Limits, min_rows: int
) -> Window:
    return {
        **request.window.document(),
        "environment": request.environment,
        "live": request.live,
        "min_rows": min_rows,
        "enough_rows": sum(comparison["rows"] for comparison in comparisons.values()) >= min_rows,
        "limits": asdict(limits),
        "labels": {**request.labels.document(), **labels.document()} if request.labels and labels else None,
        "versions": {str(number): comparison for number, comparison in comparisons.items()},
    }


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = documents.read(path)
    except ValueError as error:
        raise JobError(f"{path}: the baseline cannot be read: {error}; {_REMEDY}") from error
    return document


if __name__ == "__main__":
    sys.exit(main())
