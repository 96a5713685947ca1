"""Train the classifier in `model.algorithm`, with early stopping by the AUC on the validation rows.

On SageMaker, paths and hyperparameters are read from the job's SM_* variables; arguments take precedence.
"""

import argparse
import ast
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from modelkit import features, owner, signature
from modelkit.archives import CODE_FOLDER
from modelkit.dataset import read_typed
from modelkit.distributed import alone
from modelkit.job import JobError, JobParser, run, write_json
from modelkit.learning import Hyperparameter, Rows, Trained

TRAINING_FILE = "training.json"
CURVE_FILE = "learning-curve.json"

_KIT = Path(signature.__file__).parent


def read_rows(path: Path) -> Rows:
    """Read a split.

    Raises:
        JobError: It cannot be read, or it is empty.
    """
    schema = owner.load("schema", "SCHEMA")
    table = read_typed(path, schema)
    if table.num_rows == 0:
        raise JobError(f"{path}: there are no rows")
    return Rows(features.matrix(table, schema, owner.load("derive", "DERIVED")), features.labels(table, schema))


def hyperparameters_from(declared: Sequence[Hyperparameter], given: Mapping[str, Any]) -> dict[str, float]:
    """Check hyperparameters, given as numbers or strings, and add the defaults of the others.

    Names that begin with `sagemaker_` are reserved by SageMaker and ignored.

    Raises:
        JobError: A hyperparameter is unknown, or its value is not allowed.
    """
    known = {hyperparameter.name: hyperparameter for hyperparameter in declared}
    values: dict[str, float] = {name: each.kind(each.default) for name, each in known.items()}
    for name, value in given.items():
        if name.startswith("sagemaker_"):
            continue
        if name not in known:
            raise JobError(f"unknown hyperparameter '{name}'; known: {', '.join(known)}")
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
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.train", __doc__)
    for option, variable, description in (
        ("--train", "SM_CHANNEL_TRAIN", "the folder of the training rows"),
        ("--validation", "SM_CHANNEL_VALIDATION", "the folder of the rows for early stopping"),
        ("--model-dir", "SM_MODEL_DIR", "folder for the model and its code"),
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
        help="folder for the learning curve (default: $SM_OUTPUT_DATA_DIR)",
    )
    for hyperparameter in owner.load("hyperparameters", "HYPERPARAMETERS"):
        name = hyperparameter.name
        parser.add_argument(
            *dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}")),
            dest=name,
            default=None,
            metavar="N",
            help=f"{hyperparameter.description} (default: in $SM_HPS, or {hyperparameter.default:g})",
        )
    return parser


def _work(arguments: argparse.Namespace) -> None:
    declared: Sequence[Hyperparameter] = owner.load("hyperparameters", "HYPERPARAMETERS")
    given = _environment("SM_HPS", dict, {})
    for hyperparameter in declared:
        value = getattr(arguments, hyperparameter.name)
        if value is not None:
            given[hyperparameter.name] = value
    hyperparameters = hyperparameters_from(declared, given)
    current = os.environ.get("SM_CURRENT_HOST", "algo-1")
    hosts = _environment("SM_HOSTS", list, [current])
    if current not in hosts:
        raise JobError(f"this host, '{current}', is not one of the hosts: {', '.join(hosts)}")
    fit = owner.load("algorithm", "fit")
    together = getattr(sys.modules["model.algorithm"], "together", alone)
    train, validation = read_rows(arguments.train), read_rows(arguments.validation)
    if hosts == [current]:  # one of several sees only a share of the rows
        _require_both_classes(train, validation)
    with together(hosts, current) as leads:
        trained = fit(train, validation, hyperparameters, available_threads())
        require_defined(trained)
        if leads:
            rows = {"train": len(train.labels), "validation": len(validation.labels)}
            _write(trained, arguments, hyperparameters, rows)


def _require_both_classes(train: Rows, validation: Rows) -> None:
    """Reject a split with one class, of which no AUC can be measured.

    Raises:
        JobError: All labels of a split are alike.
    """
    target = owner.load("schema", "SCHEMA").target
    splits = {"training": train.labels, "validation": validation.labels}
    for value in (1, 0):
        counts = {name: int((labels == value).sum()) for name, labels in splits.items()}
        for name, count in counts.items():
            if count == 0:
                raise JobError(
                    f"no {name} row has '{target}' {value}: there are {sum(counts.values())} such rows in "
                    "training and validation together; bring more data, or change the shares in `split` of "
                    "config/base.yaml or the parameter Seed"
                )


def require_defined(trained: Trained) -> None:
    """Reject a model whose learning curve has a value that is not a number.

    Raises:
        JobError: All rows that a metric was computed from have the same label, as on several instances or in the sample
            that scikit-learn takes, or a prediction is not finite.
    """
    target = owner.load("schema", "SCHEMA").target
    for split, each in trained.curve.items():
        for metric, values in each.items():
            if not np.isfinite(values).all():
                raise JobError(
                    f"the {metric} of the {split} rows is not defined: all rows that it is computed from have the "
                    f"same '{target}', or a prediction is not finite; bring more rows of the rarer value"
                )


def _write(
    trained: Trained, arguments: argparse.Namespace, hyperparameters: dict[str, float], rows: dict[str, int]
) -> None:
    """Write the model last: a folder with a model is complete."""
    best = trained.best_iteration
    auc = {} if best is None else {split: metrics["auc"][best] for split, metrics in trained.curve.items()}
    record = {
        "hyperparameters": hyperparameters,
        "best_iteration": best,
        "auc": auc,
        "rows": rows,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pyarrow": pyarrow.__version__,
            **versions(Path(sys.modules["model.algorithm"].__file__ or "")),
        },
    }
    if arguments.output_data_dir is not None and trained.curve:
        write_json(arguments.output_data_dir / CURVE_FILE, {split: dict(each) for split, each in trained.curve.items()})
    _copy_code(arguments.model_dir / CODE_FOLDER)
    write_json(arguments.model_dir / TRAINING_FILE, record)
    signature.write(arguments.model_dir, owner.load("schema", "SCHEMA"), owner.load("derive", "DERIVED"))
    owner.load("algorithm", "save")(trained.model, arguments.model_dir)
    if best is None:
        print("model/algorithm.py returned no best iteration: this model has no learning curve")
        return
    # SageMaker takes the final metrics of the job from the last line in this format.
    scores = "\t".join(f"{split}-auc:{value:.5f}" for split, value in auc.items())
    print(f"best: [{best}]\t{scores}")


def versions(module: Path) -> dict[str, str]:
    """Return the versions of the packages that a module imports, by import name; packages without one are omitted.

    Args:
        module: The source file of a loaded module.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    packages = sorted({name.partition(".")[0] for name in names} - sys.stdlib_module_names)
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in packages}
    return {name: str(version) for name, version in found.items() if version}


def _copy_code(folder: Path) -> None:
    """Copy the packages `model` and `modelkit` to the archive's code, so that a server needs only the archive.

    The project's server calls `code/inference.py`, the servers of AWS's images `code/hosting.py` (SAGEMAKER_PROGRAM).
    """
    leave_out = shutil.ignore_patterns("__pycache__", ".*")
    for package in (Path(sys.modules["model"].__file__ or "").parent, _KIT):
        shutil.copytree(package, folder / package.name, ignore=leave_out, dirs_exist_ok=True)
    for name in ("inference.py", "hosting.py"):
        shutil.copyfile(_KIT / name, folder / name)


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
    """Return the number of threads to use: OMP_NUM_THREADS if it is set, else the number of cores."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() and int(text) > 0 else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
