"""Score the model on the test rows, and against the champion on the same rows.

The report is in the format of SageMaker Model Monitor's model quality statistics, with what a gate and a reader need
beside it: the gain over the reference, a classification report, the importance of the features.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model import algorithm, artifact, features, metrics
from model.dataset import read_typed
from model.derive import FEATURE_NAMES
from model.job import JobError, JobParser, run, write_json
from model.schema import SCHEMA
from model.signature import OtherSchemaError

REPORT_FILE = "evaluation.json"
NO_CHAMPION = "none"
CONSTANT = "constant prediction"
_CURVE_POINTS = 200
_IMPORTANCE_ROWS = 5_000


def evaluate(labels: metrics.Labels, probabilities: npt.NDArray[np.float32], threshold: float = 0.5) -> dict[str, Any]:
    """Return the model quality of n predictions as `binary_classification_metrics`.

    Args:
        labels: What happened, n booleans of both classes.
        probabilities: What was predicted, n values from 0 to 1.
        threshold: From which probability on a row is called positive.
    """
    called = probabilities >= threshold
    (tn, fp), (fn, tp) = confusion(labels, called)
    positives, negatives = tp + fn, tn + fp
    area = metrics.auc(labels, probabilities)
    points = metrics.curves(labels, probabilities)
    kept = np.unique(np.linspace(0, len(points.precisions) - 1, _CURVE_POINTS).round().astype(int))
    return {
        "confusion_matrix": {"0": {"0": tn, "1": fp}, "1": {"0": fn, "1": tp}},
        "auc": {
            "value": area,
            "standard_deviation": metrics.auc_standard_deviation(area, positives, negatives),
        },
        "accuracy": _proportion(tp + tn, len(labels)),
        "precision": _proportion(tp, tp + fp),
        "recall": _proportion(tp, positives),
        "true_positive_rate": _proportion(tp, positives),
        "true_negative_rate": _proportion(tn, negatives),
        "false_positive_rate": _proportion(fp, negatives),
        "false_negative_rate": _proportion(fn, positives),
        "f1": {"value": _ratio(2 * tp, 2 * tp + fp + fn)},
        "log_loss": _mean(metrics.log_losses(labels, probabilities)),
        "brier_score": _mean(metrics.squared_errors(labels, probabilities)),
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": points.false_positive_rates[kept].tolist(),
            "true_positive_rates": points.true_positive_rates[kept].tolist(),
        },
        "precision_recall_curve": {
            "precisions": points.precisions[kept].tolist(),
            "recalls": points.true_positive_rates[kept].tolist(),
        },
    }


def confusion(labels: metrics.Labels, called: metrics.Labels) -> list[list[int]]:
    """Return the 2 by 2 counts of rows, by what happened and then by what was called."""
    counts = np.bincount(2 * labels.astype(np.intp) + called, minlength=4)
    return [[int(counts[0]), int(counts[1])], [int(counts[2]), int(counts[3])]]


def classification_report(labels: metrics.Labels, called: metrics.Labels) -> dict[str, Any]:
    """Return precision, recall, F1 and support of each class, and their plain and weighted means."""
    matrix = confusion(labels, called)
    classes: dict[str, dict[str, float]] = {}
    for index in (0, 1):
        hits, support = matrix[index][index], sum(matrix[index])
        calls = matrix[0][index] + matrix[1][index]
        classes[str(index)] = {
            "precision": _ratio(hits, calls),
            "recall": _ratio(hits, support),
            "f1": _ratio(2 * hits, calls + support),
            "support": support,
        }
    rows = len(labels)
    measures = ("precision", "recall", "f1")
    return {
        **classes,
        "accuracy": (matrix[0][0] + matrix[1][1]) / rows,
        "macro_average": {name: sum(row[name] for row in classes.values()) / 2 for name in measures},
        "weighted_average": {
            name: sum(row[name] * row["support"] for row in classes.values()) / rows for name in measures
        },
    }


def feature_importance(
    model: Any, data: npt.NDArray[np.float32], labels: metrics.Labels, seed: int = 0
) -> list[dict[str, Any]]:
    """Return each feature's share of what the model owes to all of them, largest first.

    A feature's importance is by how much the AUC falls when its values are shuffled among the rows (permutation
    importance: Breiman, Random Forests, 2001), so it means the same for every framework; a feature whose shuffling
    does no harm has none. At most `_IMPORTANCE_ROWS` rows of each class are looked at.
    """
    random = np.random.default_rng(seed)
    sides = [random.permutation(np.flatnonzero(labels == side))[:_IMPORTANCE_ROWS] for side in (False, True)]
    chosen = np.concatenate(sides)
    data, labels = data[chosen], labels[chosen]
    area = metrics.auc(labels, algorithm.predict(data, model))
    falls = []
    for position in range(len(FEATURE_NAMES)):
        shuffled = data.copy()
        shuffled[:, position] = random.permutation(data[:, position])
        falls.append(max(0.0, area - metrics.auc(labels, algorithm.predict(shuffled, model))))
    total = sum(falls) or 1.0
    shares = [{"feature": name, "importance": fall / total} for name, fall in zip(FEATURE_NAMES, falls, strict=True)]
    return sorted(shares, key=lambda share: -share["importance"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step."""
    parser = JobParser("evaluate", __doc__)
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="PATH",
        help="model.tar.gz, or a folder with it or its content",
    )
    parser.add_argument("--test", type=Path, required=True, metavar="DIR", help="the folder of the test rows")
    parser.add_argument("--champion", type=Path, metavar="DIR", help="the folder of the champion's archive, or empty")
    parser.add_argument(
        "--champion-arn", default=NO_CHAMPION, metavar="ARN", help=f"the champion, or '{NO_CHAMPION}' (default)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help=f"where {REPORT_FILE} is written")
    parser.add_argument("--threshold", type=float, default=0.5, metavar="P", help="called positive from (default 0.5)")
    return run(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.threshold <= 1:
        raise JobError(f"--threshold must be between 0 and 1, not {arguments.threshold:g}")
    table = read_typed(arguments.test, SCHEMA)
    data, labels = features.matrix(table, SCHEMA), features.labels(table, SCHEMA) > 0
    if labels.all() or not labels.any():
        raise JobError(f"{arguments.test}: all {len(labels)} rows have the same '{SCHEMA.target}'; both are needed")
    model, probabilities = _predict(arguments.model, data, "the model")
    quality = evaluate(labels, probabilities, arguments.threshold)
    reference = _reference(arguments, data, labels)
    report = {
        "version": 0.0,
        "rows": len(labels),
        "binary_classification_metrics": quality,
        "reference": reference,
        "auc_gain": quality["auc"]["value"] - reference["auc"],
        "classification_report": classification_report(labels, probabilities >= arguments.threshold),
        "feature_importance": feature_importance(model, data, labels),
    }
    write_json(arguments.output / REPORT_FILE, report)
    area = quality["auc"]
    print(f"test-auc:{area['value']:.5f} (standard deviation {area['standard_deviation']:.5f}) on {len(labels)} rows")
    print(f"gain over {reference['name']}: {report['auc_gain']:+.5f}")


def _reference(arguments: argparse.Namespace, data: npt.NDArray[np.float32], labels: metrics.Labels) -> dict[str, Any]:
    """Score what the model has to beat: the champion, or a constant, whose AUC is 0.5, when there is none."""
    if arguments.champion_arn == NO_CHAMPION:
        if arguments.champion is not None and artifact.holds_model(arguments.champion):
            raise JobError(f"{arguments.champion} holds a model, but --champion-arn says that there is no champion")
        return {"name": CONSTANT, "auc": 0.5}
    if arguments.champion is None:
        raise JobError(f"--champion-arn is {arguments.champion_arn}, but no --champion was given")
    remedy = (
        "\nAfter a change of the schema or of the derived features, reject the champion:\n"
        f"  .venv/bin/python -m mlops approve {arguments.champion_arn.rpartition('/')[2]} --reject\n"
        "or run without one:\n"
        f"  .venv/bin/python -m mlops run -p ChampionArn={NO_CHAMPION}"
    )
    _, probabilities = _predict(arguments.champion, data, f"the champion {arguments.champion_arn}", remedy)
    return {"name": arguments.champion_arn, "auc": metrics.auc(labels, probabilities)}


def _predict(
    path: Path, data: npt.NDArray[np.float32], who: str, remedy: str = ""
) -> tuple[Any, npt.NDArray[np.float32]]:
    """Load a model and score the rows; `remedy` says what to do when the model was made under another schema."""
    try:
        with artifact.opened(path) as folder:
            model = algorithm.load(folder)
        return model, algorithm.predict(data, model)
    except OtherSchemaError as error:
        raise JobError(f"{who} cannot be scored: {error}{remedy}") from error
    except (JobError, ValueError) as error:
        raise JobError(f"{who} cannot be scored: {error}") from error


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, and 0 when the whole is: no row to be right about is no success."""
    return part / whole if whole else 0.0


def _proportion(part: int, whole: int) -> dict[str, float]:
    """Return a share with the standard deviation of a binomial proportion."""
    share = _ratio(part, whole)
    return {"value": share, "standard_deviation": math.sqrt(_ratio(share * (1 - share), whole))}


def _mean(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return a mean with its standard error."""
    return {"value": float(values.mean()), "standard_deviation": float(values.std() / math.sqrt(len(values)))}


if __name__ == "__main__":
    sys.exit(main())
