"""Train the classifier: gradient-boosted trees (XGBoost), stopped when the AUC on the validation rows stops rising.

On SageMaker paths and hyperparameters come from the SM_* variables of the training job; an argument takes precedence.
"""

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import xgboost

from model import distributed, features
from model.artifact import copy_code
from model.dataset import read_typed
from model.derive import FEATURE_NAMES
from model.inference import ENCODING_ATTRIBUTE, MODEL_FILE
from model.job import JobError, JobParser, run, write_json
from model.schema import SCHEMA

TRAINING_FILE = "training.json"
CURVE_FILE = "learning-curve.json"
_ROUNDS_PER_LINE = 10


@dataclass(frozen=True)
class Hyperparameter:
    """A number that training takes.

    Attributes:
        name: Its name on SageMaker; on the command line `_` may be written `-`.
        kind: int or float.
        default: Its value when none is given.
        minimum: The smallest value allowed.
        maximum: The largest value allowed.
        description: What it does.
    """

    name: str
    kind: type[int] | type[float]
    default: float
    minimum: float
    maximum: float
    description: str

    def parse(self, text: str) -> float:
        """Return the value that a text stands for.

        Raises:
            ValueError: It is not a number of this kind, or out of range.
        """
        value = self.kind(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError(text)
        return value

    @property
    def expected(self) -> str:
        """What the value must be, for a message."""
        kind = "a whole number" if self.kind is int else "a number"
        upper = "" if math.isinf(self.maximum) else f" and at most {self.maximum:g}"
        return f"{kind}, at least {self.minimum:g}{upper}"


HYPERPARAMETERS = (
    Hyperparameter("num_round", int, 300, 1, math.inf, "most trees to grow"),
    Hyperparameter("early_stopping_rounds", int, 15, 1, math.inf, "trees without a better AUC before stopping"),
    Hyperparameter("learning_rate", float, 0.2, 1e-6, 1, "weight of each tree"),
    Hyperparameter("max_depth", int, 5, 1, 20, "depth of a tree"),
    Hyperparameter("min_child_weight", float, 20, 0, math.inf, "least weight of the rows in a leaf"),
    Hyperparameter("subsample", float, 0.8, 1e-3, 1, "share of the rows each tree sees"),
    Hyperparameter("colsample_bytree", float, 0.8, 1e-3, 1, "share of the features each tree sees"),
    Hyperparameter("reg_lambda", float, 1, 0, math.inf, "L2 penalty on leaf weights"),
    Hyperparameter("gamma", float, 0, 0, math.inf, "least gain of a split"),
    Hyperparameter("seed", int, 0, 0, 2**31 - 1, "seed of the sampling"),
)
_LOOP = ("num_round", "early_stopping_rounds")


@dataclass(frozen=True)
class Rows:
    """Features (n, f) and labels (n) of one split."""

    features: Any
    labels: Any


@dataclass(frozen=True)
class Trained:
    """A booster cut at its best tree, and for each split and metric the value after each tree."""

    booster: xgboost.Booster
    best_iteration: int
    curve: dict[str, dict[str, list[float]]]


def read_rows(path: Path) -> Rows:
    """Read a split.

    Raises:
        JobError: It cannot be read, or it is empty.
    """
    table = read_typed(path, SCHEMA)
    if table.num_rows == 0:
        raise JobError(f"{path}: there are no rows")
    return Rows(features.matrix(table, SCHEMA), features.labels(table, SCHEMA))


def fit(train: Rows, validation: Rows, hyperparameters: dict[str, float], threads: int) -> Trained:
    """Train a booster; within `distributed.together`, together with the other instances.

    Args:
        train: The rows to learn from.
        validation: The rows that tell when to stop.
        hyperparameters: A value for each of `HYPERPARAMETERS`.
        threads: How many threads to use.

    Raises:
        JobError: XGBoost refuses the data.
    """
    names = list(FEATURE_NAMES)
    parameters: dict[str, Any] = {name: value for name, value in hyperparameters.items() if name not in _LOOP}
    parameters |= {"objective": "binary:logistic", "eval_metric": "auc", "tree_method": "hist", "nthread": threads}
    curve: dict[str, dict[str, list[float]]] = {}
    try:
        rows = xgboost.QuantileDMatrix(train.features, train.labels, feature_names=names, nthread=threads)
        held_out = xgboost.QuantileDMatrix(
            validation.features, validation.labels, feature_names=names, nthread=threads, ref=rows
        )
        booster = xgboost.train(
            parameters,
            rows,
            num_boost_round=int(hyperparameters["num_round"]),
            evals=[(rows, "train"), (held_out, "validation")],
            early_stopping_rounds=int(hyperparameters["early_stopping_rounds"]),
            evals_result=curve,
            verbose_eval=_ROUNDS_PER_LINE,
        )
    except xgboost.core.XGBoostError as error:
        raise JobError(f"XGBoost cannot train on this: {str(error).strip().splitlines()[0]}") from error
    best = booster.best_iteration
    booster = booster[: best + 1]
    booster.set_attr(**{ENCODING_ATTRIBUTE: SCHEMA.encoding, "best_iteration": str(best)})
    return Trained(booster, best, curve)


def hyperparameters_from(given: dict[str, Any]) -> dict[str, float]:
    """Check hyperparameters, numbers or text, and add the defaults of those that are not given.

    Those whose name begins with `sagemaker_` are SageMaker's own and left out.

    Raises:
        JobError: One is unknown, or its value is not allowed.
    """
    known = {hyperparameter.name: hyperparameter for hyperparameter in HYPERPARAMETERS}
    values = {name: hyperparameter.default for name, hyperparameter in known.items()}
    for name, value in given.items():
        if name.startswith("sagemaker_"):
            continue
        if name not in known:
            raise JobError(f"there is no hyperparameter '{name}'; there are {', '.join(known)}")
        try:
            values[name] = known[name].parse(str(value))
        except ValueError as error:
            raise JobError(f"hyperparameter {name} is '{value}'; it must be {known[name].expected}") from error
    return values


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step."""
    parser = JobParser("train", __doc__)
    for option, variable, description in (
        ("--train", "SM_CHANNEL_TRAIN", "the folder of the rows to learn from"),
        ("--validation", "SM_CHANNEL_VALIDATION", "the folder of the rows that tell when to stop"),
        ("--model-dir", "SM_MODEL_DIR", "gets the model and the code that serves it"),
    ):
        default = os.environ.get(variable)
        parser.add_argument(
            option,
            type=Path,
            default=default,
            required=default is None,
            metavar="DIR",
            help=f"{description} (default: ${variable})",
        )
    parser.add_argument(
        "--output-data-dir",
        type=Path,
        default=os.environ.get("SM_OUTPUT_DATA_DIR"),
        metavar="DIR",
        help="gets the learning curve (default: $SM_OUTPUT_DATA_DIR)",
    )
    parser.add_argument("--tracker-address", metavar="IP", help="address of the first host (default: looked up)")
    parser.add_argument(
        "--tracker-port", type=int, default=distributed.DEFAULT_PORT, metavar="N", help="default %(default)s"
    )
    for hyperparameter in HYPERPARAMETERS:
        name = hyperparameter.name
        parser.add_argument(
            *dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")),
            dest=name,
            default=None,
            metavar="N",
            help=f"{hyperparameter.description} (default: in $SM_HPS, or {hyperparameter.default:g})",
        )
    return run(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    given = _environment("SM_HPS", dict, {})
    for hyperparameter in HYPERPARAMETERS:
        value = getattr(arguments, hyperparameter.name)
        if value is not None:
            given[hyperparameter.name] = value
    hyperparameters = hyperparameters_from(given)
    current = os.environ.get("SM_CURRENT_HOST", "algo-1")
    hosts = _environment("SM_HOSTS", list, [current])
    threads = available_threads()
    train, validation = read_rows(arguments.train), read_rows(arguments.validation)
    with distributed.together(hosts, current, arguments.tracker_address, arguments.tracker_port) as leads:
        trained = fit(train, validation, hyperparameters, threads)
        if leads:
            _write(
                trained, arguments, hyperparameters, {"train": len(train.labels), "validation": len(validation.labels)}
            )


def _write(
    trained: Trained, arguments: argparse.Namespace, hyperparameters: dict[str, float], rows: dict[str, int]
) -> None:
    """Write the model last: a folder that has one is complete."""
    auc = {split: metrics["auc"][trained.best_iteration] for split, metrics in trained.curve.items()}
    record = {
        "hyperparameters": hyperparameters,
        "best_iteration": trained.best_iteration,
        "auc": auc,
        "rows": rows,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pyarrow": pyarrow.__version__,
            "xgboost": xgboost.__version__,
        },
    }
    if arguments.output_data_dir is not None:
        write_json(arguments.output_data_dir / CURVE_FILE, trained.curve)
    copy_code(arguments.model_dir)
    write_json(arguments.model_dir / TRAINING_FILE, record)
    trained.booster.save_model(arguments.model_dir / MODEL_FILE)
    print(f"best after {trained.best_iteration + 1} trees: validation-auc:{auc['validation']:.5f}")


def _environment(variable: str, kind: type[Any], default: Any) -> Any:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        value = json.loads(text)
    except ValueError as error:
        raise JobError(f"${variable} is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise JobError(f"${variable} must be a JSON {'object' if kind is dict else 'list'}, not {text}")
    return value


def available_threads() -> int:
    """Return how many threads to use: as many as OMP_NUM_THREADS says, else one for each core."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() and int(text) > 0 else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
