"""Compile the pipelines for an environment into bundles, offline, and validate them."""

from argparse import ArgumentParser, Namespace

from mlops.base.environments import LOCAL
from mlops.pipeline import bundle
from mlops.project import pipelines
from mlops.project.target import Target

NEEDS = ("trains|monitors",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `compile`."""
    parser.add_argument("--environment", default=LOCAL, help="environment to compile for (default: %(default)s)")


def run(target: Target, options: Namespace) -> int:
    """Compile if the sources have changed, and print the paths of the bundles."""
    for pipeline in pipelines.present(target.project.root):
        compiled = bundle.current(target, pipeline)
        folder = compiled.path.relative_to(target.project.root)
        print(f"{compiled.pipeline_name}  sha256 {compiled.definition_sha256}\n  {folder}")
    return 0
