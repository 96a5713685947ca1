"""The project's own image, as SageMaker runs it: `serve` a model, `train` with the code that a job brings along.

The steps of the pipeline name commands of their own, `/bin/bash` for Train and `python3 -m ...` for the others, and
these take the place of the image's. What is left is what SageMaker starts with one word: endpoints, transform jobs,
and training jobs that name no command, as those of a tuning job. `check` is for the build of the image.
"""

import importlib
import os
import pkgutil
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path

from mlops.base.errors import MlopsError

TOOLS = ("bash", "chmod", "pip3", "python3")
"""What the commands of the SageMaker SDK's training driver call by name."""

_SERVER = ("mlops.serving.__main__", "mlops.serving.worker", "mlops.serving.twin", "onnx", "onnxruntime")
_DRIVER = "input/data/sm_drivers/sm_train.sh"
_FAILURE = "output/failure"


def main(arguments: list[str]) -> int:
    """Do what SageMaker says; 0 when it is done."""
    parser = ArgumentParser(prog="python -m mlops.serving.container", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the model in /opt/ml/model at port 8080")
    commands.add_parser("train", help="run the training driver that the SageMaker SDK sent along")
    checking = commands.add_parser("check", help="say whether the image holds what jobs and the server need")
    checking.add_argument("code", type=Path, help="folder with the packages `model` and `modelkit`, the code of jobs")
    options = parser.parse_args(arguments)
    folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    try:
        if options.command == "serve":
            return serve(folder)
        if options.command == "train":
            train(folder)
        check(options.code)
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def serve(folder: Path) -> int:
    """Serve the model below SageMaker's folder until told to end; 0."""
    from mlops.serving.__main__ import main as serve_model  # `train` needs no server

    with tempfile.TemporaryDirectory(prefix="model-") as writable:  # SageMaker's is for reading; the ONNX twin is added
        for entry in (folder / "model").glob("*"):
            (Path(writable) / entry.name).symlink_to(entry)
        return serve_model([writable])


def train(folder: Path) -> None:
    """Become the training driver that stands below SageMaker's folder.

    Raises:
        MlopsError: The job brought none; SageMaker is told why, too.
    """
    driver = folder / _DRIVER
    if not driver.is_file():
        error = MlopsError(
            "The image holds no training code, and this job brought none.",
            "Start it with ModelTrainer and SourceCode of the SageMaker SDK, as pipelines/training.py does.",
        )
        (folder / _FAILURE).parent.mkdir(parents=True, exist_ok=True)
        (folder / _FAILURE).write_text(f"{error}\n", encoding="utf-8")
        raise error
    os.execvp("bash", ["bash", str(driver)])


def check(code: Path) -> None:
    """Find out whether everything is there that the training driver calls, and that jobs and the server import.

    Args:
        code: The folder with the packages `model` and `modelkit`.

    Raises:
        MlopsError: Something is missing, or a module does not load; the message lists all.
    """
    faults = [f"there is no {tool}" for tool in TOOLS if shutil.which(tool) is None]
    sys.path.insert(0, str(code))
    modules = []
    for package in ("model", "modelkit"):
        if not (code / package).is_dir():
            faults.append(f"there is no package `{package}` in {code}")
        modules += [module.name for module in pkgutil.walk_packages([str(code / package)], f"{package}.")]
    for name in (*_SERVER, *modules):
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever it is, the build is told
            faults.append(f"{name} does not load: {type(error).__name__}: {error}")
    if faults:
        raise MlopsError(f"The image cannot be used: {'; '.join(faults)}.", "Correct container/ or locks/runtime.txt.")
    print(f"The image holds all that the server and {len(modules)} modules of the jobs import.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
