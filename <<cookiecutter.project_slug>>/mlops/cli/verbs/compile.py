"""Compile the pipeline for an environment into a bundle, offline, and validate it."""

from argparse import ArgumentParser, Namespace

from mlops.base.environments import LOCAL
from mlops.pipeline import bundle
from mlops.project.target import Target

NEEDS = ("trains",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `compile`."""
    parser.add_argument("--environment", default=LOCAL, help="environment to compile for (default: %(default)s)")


def run(target: Target, options: Namespace) -> int:
    """Compile if the sources have changed, and print the path of the bundle."""
    compiled = bundle.current(target)
    folder = compiled.path.relative_to(target.project.root)
    print(f"{compiled.pipeline_name}  sha256 {compiled.definition_sha256}\n  {folder}")
    return 0
