"""Evaluate the model and the champion on the test rows.

The report is in the format of SageMaker Model Monitor's model quality statistics, with the gain over the reference, a
classification report and the importance of the features in addition. The distribution of the predictions and the
model's schema are written beside it, for monitoring.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelkit import archives, champion, evaluation, features, metrics, owner, signature
from modelkit.baseline import EVALUATION_FILE, PREDICTION, PREDICTIONS_FILE
from modelkit.dataset import read_typed
from modelkit.job import JobError, JobParser, run, write_json
from modelkit.statistics import statistics

NO_CHAMPION = "none"
CONSTANT = "constant prediction"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.evaluate", __doc__)
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="PATH",
        help="model.tar.gz, or a folder with the archive or its content",
    )
    parser.add_argument("--test", type=Path, required=True, metavar="DIR", help="the folder of the test rows")
    parser.add_argument("--champion", type=Path, metavar="DIR", help="the folder of the champion's archive, or empty")
    parser.add_argument(
        "--champion-arn", default=NO_CHAMPION, metavar="ARN", help=f"the champion, or '{NO_CHAMPION}' (default)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help=f"folder for {EVALUATION_FILE}")
    parser.add_argument("--threshold", type=float, default=0.5, metavar="P", help="positive from here on (default 0.5)")
    return parser


def _work(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.threshold <= 1:
        raise JobError(f"--threshold must be between 0 and 1, not {arguments.threshold:g}")
    schema, derived = owner.load("schema", "SCHEMA"), owner.load("derive", "DERIVED")
    judge = owner.load("evaluate", "evaluate")
    table = read_typed(arguments.test, schema)
    data, labels = features.matrix(table, schema, derived), features.labels(table, schema) > 0
    if labels.all() or not labels.any():
        raise JobError(
            f"{arguments.test}: all {len(labels)} rows have the same '{schema.target}'; both values are needed"
        )
    predict = _predictor(arguments.model)
    probabilities = predict(data)
    quality = judge(labels, probabilities, arguments.threshold)
    reference = _reference(arguments, table, labels)
    report = {
        "version": 0.0,
        "rows": len(labels),
        "threshold": arguments.threshold,
        "binary_classification_metrics": quality,
        "reference": reference,
        "auc_gain": quality["auc"]["value"] - reference["auc"],
        "classification_report": evaluation.classification_report(labels, probabilities >= arguments.threshold),
        "feature_importance": evaluation.feature_importance(predict, data, labels, [*schema.feature_names, *derived]),
    }
    write_json(arguments.output / EVALUATION_FILE, report)
    found = statistics(pa.table({PREDICTION: probabilities}))
    write_json(arguments.output / PREDICTIONS_FILE, found, indent=None)
    signature.write(arguments.output, schema, derived)
    area = quality["auc"]
    print(f"test-auc:{area['value']:.5f} (standard deviation {area['standard_deviation']:.5f}) on {len(labels)} rows")
    print(f"gain over {reference['name']}: {report['auc_gain']:+.5f}")


def _predictor(path: Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Return the `predict` function of the new model, loaded with the code of this job."""
    from modelkit import inference  # loads the owner's code

    try:
        with archives.opened(path) as folder:
            model = inference.model_fn(str(folder))
    except (JobError, ValueError) as error:
        raise JobError(f"the model cannot be scored: {error}") from error
    return lambda data: inference.predict_fn(data, model)


def _reference(arguments: argparse.Namespace, table: Any, labels: metrics.Labels) -> dict[str, Any]:
    """Return the reference and its AUC: the champion or, if there is none, a constant prediction, whose AUC is 0.5."""
    if arguments.champion_arn == NO_CHAMPION:
        if arguments.champion is not None and archives.holds_model(arguments.champion):
            raise JobError(f"{arguments.champion} contains a model, but --champion-arn is '{NO_CHAMPION}'")
        return {"name": CONSTANT, "auc": 0.5}
    if arguments.champion is None:
        raise JobError(f"--champion-arn is {arguments.champion_arn}, but no --champion was given")
    failed = f"the champion {arguments.champion_arn} cannot be scored"
    remedy = (
        "After a change of the schema, reject the champion:\n"
        f"  .venv/bin/python -m mlops approve {arguments.champion_arn.rpartition('/')[2]} --reject\n"
        "or run without one:\n"
        f"  .venv/bin/python -m mlops run -p ChampionArn={NO_CHAMPION}"
    )
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(archives.opened(arguments.champion))
        except JobError as error:
            raise JobError(f"{failed}: {error}") from error
        try:
            probabilities = champion.predictions(folder, table)
        except JobError as error:
            raise JobError(f"{failed}: {error}\n{remedy}") from error
    return {"name": arguments.champion_arn, "auc": metrics.auc(labels, probabilities)}


if __name__ == "__main__":
    sys.exit(main())
