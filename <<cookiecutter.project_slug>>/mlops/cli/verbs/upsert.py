"""Create or update the pipeline of an environment in SageMaker, and optionally start it.

Uploads the objects that are missing first. A pipeline that is up to date is not changed.
"""

import json
from argparse import ArgumentParser, Namespace
from datetime import date

from mlops.base.errors import UsageError
from mlops.base.files import DIGEST_LENGTH
from mlops.cli.console import report
from mlops.deployment.readiness import image_support
from mlops.pipeline import submission
from mlops.pipeline.bundle import current
from mlops.pipeline.definition import assignments
from mlops.project.target import Target

NEEDS = ("trains",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `upsert`."""
    parser.add_argument("--environment", required=True, help="environment, for example dev")
    parser.add_argument("--start", action="store_true", help="start an execution on the current data")
    parser.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="set a parameter of the execution"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Submit the pipeline, start it if requested, and print a summary."""
    if options.parameter and not options.start:
        raise UsageError("-p sets parameters of an execution.", "Add --start, or leave out -p.")
    overrides = assignments(options.parameter)
    for finding in image_support(target.project, date.today()):
        report(f"Warning: {finding}")
    submission.look_up(target)
    current(target).require_within_limits(overrides)
    done = submission.submit(target)
    execution = None
    if options.start:
        pipeline = current(target).pipeline_name
        execution = submission.start(target, pipeline, overrides)
    if options.json:
        result = {
            "pipeline_arn": done.pipeline_arn,
            "outcome": done.outcome,
            "definition_sha256": done.definition_sha256,
            "uploaded": done.uploaded,
            "execution_arn": execution,
        }
        print(json.dumps(result, indent=2))
        return 0
    print(f"{done.pipeline_arn} is {done.outcome} (sha256 {done.definition_sha256[:DIGEST_LENGTH]}).")
    print(f"  {len(done.uploaded)} objects uploaded.")
    if execution:
        print(f"  started: {execution}")
    return 0
