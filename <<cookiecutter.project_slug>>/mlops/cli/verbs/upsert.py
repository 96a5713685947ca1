"""Create or update the pipelines of an environment in SageMaker, and optionally start the training pipeline.

Uploads the objects that are missing first. Pipelines that are up to date are not changed.
"""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from datetime import date

from mlops.base.errors import UsageError
from mlops.base.files import DIGEST_LENGTH
from mlops.cli.console import report
from mlops.deployment.checks.images import image_support
from mlops.pipeline import submission
from mlops.pipeline.bundle import current
from mlops.pipeline.definition import assignments
from mlops.project import pipelines
from mlops.project.target import Target

NEEDS = ("trains|monitors",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `upsert`."""
    parser.add_argument("--environment", required=True, help="environment, for example dev")
    parser.add_argument("--start", action="store_true", help="start an execution on the current data")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="set a parameter of the execution"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Submit the pipelines, start training if requested, and print a summary."""
    if options.parameter and not options.start:
        raise UsageError("-p sets parameters of an execution.", "Add --start, or leave out -p.")
    overrides = assignments(options.parameter)
    for finding in image_support(target.project, date.today()):
        report(f"Warning: {finding}")
    submission.look_up(target)
    names = pipelines.submitted(target)
    if options.start:
        if pipelines.TRAINING not in names:
            raise UsageError("This project trains no model: there is no training to start.", "Leave out --start.")
        current(target).require_within_limits(overrides)
    done = {name: submission.submit(target, name) for name in names}
    execution = None
    if options.start:
        pipeline = current(target).pipeline_name
        execution = submission.start(target, pipeline, overrides)
    if options.json:
        result = {
            **(asdict(done[pipelines.TRAINING]) if pipelines.TRAINING in done else {}),
            "execution_arn": execution,
            "pipelines": {name: asdict(one) for name, one in done.items()},
        }
        print(json.dumps(result, indent=2))
        return 0
    for one in done.values():
        print(f"{one.pipeline_arn} is {one.outcome} (sha256 {one.definition_sha256[:DIGEST_LENGTH]}).")
        print(f"  {len(one.uploaded)} objects uploaded.")
    if execution:
        print(f"  started: {execution}")
    return 0
