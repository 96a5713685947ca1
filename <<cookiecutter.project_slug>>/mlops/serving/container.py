"""The entry point of the project's own image: `serve` a model, or `train` with the code of a job.

The steps of the pipeline have their own commands, `/bin/bash` for Train and `python3 -m ...` for the others, which
replace the entry point of the image. SageMaker uses it for endpoints, transform jobs, and training jobs without a
command, such as those of a tuning job. `check` is for the build of the image.
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
"""The programs that the SageMaker SDK's training driver calls."""

_SERVER = ("mlops.serving.__main__", "mlops.serving.worker", "mlops.serving.twin", "onnx", "onnxruntime")
_DRIVER = "input/data/sm_drivers/sm_train.sh"
_FAILURE = "output/failure"


def main(arguments: list[str]) -> int:
    """Run the command that SageMaker passes; return 0 on success."""
    parser = ArgumentParser(prog="python -m mlops.serving.container", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the model in /opt/ml/model on port 8080")
    commands.add_parser("train", help="run the training driver that the SageMaker SDK uploaded")
    checking = commands.add_parser("check", help="check that the image contains what jobs and the server need")
    checking.add_argument("code", type=Path, help="folder with the jobs' code: `model` and `modelkit`")
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
    """Serve the model below SageMaker's folder until stopped; return 0."""
    from mlops.serving.__main__ import main as serve_model  # `train` needs no server

    with tempfile.TemporaryDirectory(prefix="model-") as writable:  # SageMaker's is read-only; the ONNX twin is added
        for entry in (folder / "model").glob("*"):
            (Path(writable) / entry.name).symlink_to(entry)
        return serve_model([writable])


def train(folder: Path) -> None:
    """Replace this process by the training driver below SageMaker's folder.

    Raises:
        MlopsError: The job has no driver; the reason is also written for SageMaker.
    """
    driver = folder / _DRIVER
    if not driver.is_file():
        error = MlopsError(
            "The job has no training code, and the image contains none.",
            "Start it with ModelTrainer and SourceCode of the SageMaker SDK, like pipelines/training.py.",
        )
        (folder / _FAILURE).parent.mkdir(parents=True, exist_ok=True)
        (folder / _FAILURE).write_text(f"{error}\n", encoding="utf-8")
        raise error
    os.execvp("bash", ["bash", str(driver)])


def check(code: Path) -> None:
    """Check that the image contains the programs that the training driver calls, and the modules that are imported.

    Args:
        code: The folder with the packages `model` and `modelkit`.

    Raises:
        MlopsError: Something is missing, or a module cannot be imported; the message lists all of it.
    """
    faults = [f"{tool} is missing" for tool in TOOLS if shutil.which(tool) is None]
    sys.path.insert(0, str(code))
    modules = []
    for package in ("model", "modelkit"):
        if not (code / package).is_dir():
            faults.append(f"no package `{package}` in {code}")
        modules += [module.name for module in pkgutil.walk_packages([str(code / package)], f"{package}.")]
    for name in (*_SERVER, *modules):
        try:
            importlib.import_module(name)
        except Exception as error:  # any failure fails the build
            faults.append(f"cannot import {name}: {type(error).__name__}: {error}")
    if faults:
        raise MlopsError(f"The image cannot be used: {'; '.join(faults)}.", "Correct container/ or locks/runtime.txt.")
    print(f"The image contains everything that the server and {len(modules)} modules of the jobs import.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
