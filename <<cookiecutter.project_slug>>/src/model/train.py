"""Train the classifier of `model.algorithm`, stopped when the AUC on the validation rows stops rising.

On SageMaker paths and hyperparameters come from the SM_* variables of the training job; an argument takes precedence.
"""

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from model import algorithm, features
from model.dataset import read_typed
from model.hyperparameters import HYPERPARAMETERS
from model.job import JobError, JobParser, run, write_json
from model.learning import Rows, Trained
from model.schema import SCHEMA

TRAINING_FILE = "training.json"
CURVE_FILE = "learning-curve.json"

_PACKAGE = Path(__file__).parent


def read_rows(path: Path) -> Rows:
    """Read a split.

    Raises:
        JobError: It cannot be read, or it is empty.
    """
    table = read_typed(path, SCHEMA)
    if table.num_rows == 0:
        raise JobError(f"{path}: there are no rows")
    return Rows(features.matrix(table, SCHEMA), features.labels(table, SCHEMA))


def hyperparameters_from(given: dict[str, Any]) -> dict[str, float]:
    """Check hyperparameters, numbers or text, and add the defaults of those that are not given.

    Those whose name begins with `sagemaker_` are SageMaker's own and left out.

    Raises:
        JobError: One is unknown, or its value is not allowed.
    """
    known = {hyperparameter.name: hyperparameter for hyperparameter in HYPERPARAMETERS}
    values: dict[str, float] = {name: each.kind(each.default) for name, each in known.items()}
    for name, value in given.items():
        if name.startswith("sagemaker_"):
            continue
        if name not in known:
            raise JobError(f"there is no hyperparameter '{name}'; there are {', '.join(known)}")
        try:
            values[name] = known[name].parse(str(value))
        except ValueError as error:
            raise JobError(
                f"hyperparameter {name} (the parameter {known[name].parameter}) is '{value}'; it must be "
                f"{known[name].expected}"
            ) from error
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
    if current not in hosts:
        raise JobError(f"this host, '{current}', is not one of the hosts: {', '.join(hosts)}")
    threads = available_threads()
    train, validation = read_rows(arguments.train), read_rows(arguments.validation)
    with algorithm.together(hosts, current) as leads:
        trained = algorithm.fit(train, validation, hyperparameters, threads)
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
            **algorithm.VERSIONS,
        },
    }
    if arguments.output_data_dir is not None:
        write_json(arguments.output_data_dir / CURVE_FILE, trained.curve)
    _copy_code(arguments.model_dir)
    write_json(arguments.model_dir / TRAINING_FILE, record)
    algorithm.save(trained.model, arguments.model_dir)
    # The last line of this form is what SageMaker keeps as the job's metrics.
    figures = "\t".join(f"{split}-auc:{value:.5f}" for split, value in auc.items())
    print(f"best: [{trained.best_iteration}]\t{figures}")


def _copy_code(model_folder: Path) -> None:
    """Put this package and its request handlers beside the model, so that a server needs nothing but the archive.

    The project's server calls `code/inference.py`, those of AWS's images `code/hosting.py` (SAGEMAKER_PROGRAM); what
    they import is below `code/model`.
    """
    destination = model_folder / "code" / _PACKAGE.name
    destination.mkdir(parents=True, exist_ok=True)
    for source in sorted(_PACKAGE.glob("*.py")):
        shutil.copyfile(source, destination / source.name)
    for name in ("inference.py", "hosting.py"):
        shutil.copyfile(_PACKAGE / name, model_folder / "code" / name)


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
