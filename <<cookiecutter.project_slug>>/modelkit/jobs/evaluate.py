"""Evaluate the model and the champion on the test rows.

The champion is scored by the code in its archive, on the rows as they were read, because its schema may be another one.
If it takes only some of them, both models are compared on those. If it cannot be compared at all, the report says why,
and the reference is a constant prediction.

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
from modelkit.dataset import raw, read_sources, read_typed
from modelkit.job import JobError, JobParser, run, write_json
from modelkit.statistics import statistics

NO_CHAMPION = "none"
CONSTANT = "constant prediction"
CONSTANT_AUC = 0.5
NOT_COMPARABLE = "not comparable"
LEAST_SHARE = 0.5
"""The share of the rows that a champion must take to be compared."""


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
    parser.add_argument(
        "--raw", type=Path, metavar="DIR", help="the folder of the test rows as they were read, for the champion"
    )
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
            f"{arguments.test}: all {len(labels)} rows have the same '{schema.target}'; both values are needed: bring "
            "more data, or change the shares in `split` of config/base.yaml or the parameter Seed"
        )
    predict = _predictor(arguments.model)
    probabilities = predict(data)
    quality = judge(labels, probabilities, arguments.threshold)
    reference, gain = _reference(arguments, schema.target, labels, probabilities)
    report = {
        "version": 0.0,
        "rows": len(labels),
        "threshold": arguments.threshold,
        "binary_classification_metrics": quality,
        "reference": reference,
        "auc_gain": gain,
        "classification_report": evaluation.classification_report(labels, probabilities >= arguments.threshold),
        "feature_importance": evaluation.feature_importance(predict, data, labels, [*schema.feature_names, *derived]),
    }
    write_json(arguments.output / EVALUATION_FILE, report)
    found = statistics(pa.table({PREDICTION: probabilities}))
    write_json(arguments.output / PREDICTIONS_FILE, found, indent=None)
    signature.write(arguments.output, schema, derived)
    area = quality["auc"]
    print(f"test-auc:{area['value']:.5f} (standard deviation {area['standard_deviation']:.5f}) on {len(labels)} rows")
    if reference["status"] == NOT_COMPARABLE:
        print(f"champion {reference['champion']}: {NOT_COMPARABLE}: {reference['reason']}")
    some = f" on the {reference['rows']} rows that it takes" if reference["rows"] < len(labels) else ""
    print(f"gain over {reference['name']}{some}: {gain:+.5f}")


def _predictor(path: Path) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Return the `predict` function of the new model, loaded with the code of this job."""
    from modelkit import inference  # loads the owner's code

    try:
        with archives.opened(path) as folder:
            model = inference.model_fn(str(folder))
    except (JobError, ValueError) as error:
        raise JobError(f"the model cannot be scored: {error}") from error
    return lambda data: inference.predict_fn(data, model)


def _reference(
    arguments: argparse.Namespace, target: str, labels: metrics.Labels, probabilities: npt.NDArray[np.float32]
) -> tuple[dict[str, Any], float]:
    """Return the reference of n predictions, and their gain in AUC over it."""
    area = metrics.auc(labels, probabilities)
    constant = {"name": CONSTANT, "auc": CONSTANT_AUC, "rows": len(labels)}
    if arguments.champion_arn == NO_CHAMPION:
        if arguments.champion is not None and archives.holds_model(arguments.champion):
            raise JobError(f"{arguments.champion} contains a model, but --champion-arn is '{NO_CHAMPION}'")
        return constant | {"status": "no champion"}, area - CONSTANT_AUC
    if arguments.champion is None or arguments.raw is None:
        raise JobError(f"--champion-arn is {arguments.champion_arn}, but no --champion and --raw were given")
    rows = raw(read_sources(arguments.raw))
    if len(rows) != len(labels):
        raise JobError(f"{arguments.raw} has {len(rows)} rows, {arguments.test} has {len(labels)}")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(archives.opened(arguments.champion))
        except JobError as error:
            raise JobError(
                f"the champion {arguments.champion_arn} cannot be read: {error}\n"
                "Reject it:\n"
                f"  .venv/bin/python -m mlops approve {arguments.champion_arn.rpartition('/')[2]} --reject\n"
                "or run without a champion:\n"
                f"  .venv/bin/python -m mlops run -p ChampionArn={NO_CHAMPION}"
            ) from error
        try:
            scores = champion.predictions(folder, rows, target)
            taken = ~np.isnan(scores)
            _require_enough(labels, taken)
        except JobError as error:
            reason = {"champion": arguments.champion_arn, "status": NOT_COMPARABLE, "reason": str(error)}
            return constant | reason, area - CONSTANT_AUC
    compared = {"name": arguments.champion_arn, "auc": metrics.auc(labels[taken], scores[taken])}
    gain = metrics.auc(labels[taken], probabilities[taken]) - compared["auc"]
    return compared | {"rows": int(taken.sum()), "status": "compared"}, gain


def _require_enough(labels: metrics.Labels, taken: metrics.Labels) -> None:
    if taken.mean() < LEAST_SHARE:
        raise JobError(f"it takes only {taken.sum()} of {len(taken)} rows: the others have values unknown to it")
    if labels[taken].all() or not labels[taken].any():
        raise JobError(f"the {taken.sum()} rows that it takes have the same target; both values are needed")


if __name__ == "__main__":
    sys.exit(main())
