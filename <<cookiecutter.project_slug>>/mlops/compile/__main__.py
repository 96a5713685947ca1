"""`python -m mlops.compile --environment local --output FOLDER`: compile a pipeline into a bundle."""

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops.base.errors import MlopsError
from mlops.base.terminal import protect
from mlops.compile.compiler import compile_bundle
from mlops.compile.mistakes import explain
from mlops.project import pipelines
from mlops.project.project import Project
from mlops.project.target import Target


def main(argv: Sequence[str] | None = None) -> int:
    """Compile; return 0, 1 if the pipeline cannot be compiled, or 2 if the configuration is incomplete."""
    parser = argparse.ArgumentParser(prog="python -m mlops.compile", description="Compile a pipeline.")
    parser.add_argument("--environment", default="local", help="the environment to compile for (default: local)")
    parser.add_argument(
        "--pipeline", default=pipelines.TRAINING, choices=pipelines.TABLE, help="the pipeline (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the folder to write the bundle to")
    arguments = parser.parse_args(argv)
    try:
        project = Project.here()
    except MlopsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    try:
        compile_bundle(Target(project, arguments.environment), arguments.pipeline, arguments.output.resolve())
    except Exception as error:
        message = explain(error, project.root)
        if message is None:
            raise
        print(message, file=sys.stderr)
        return message.exit_code
    return 0


if __name__ == "__main__":
    protect()
    # Importing the SDK creates a million permanent objects: collecting garbage among them takes a third of the time.
    gc.disable()
    sys.exit(main())
