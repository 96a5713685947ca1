"""Publish the project's sources to the deployment pipeline, which deploys from them."""

import json
from argparse import ArgumentParser, Namespace

from mlops.deployment.publish import publish
from mlops.project.target import Target

NEEDS = ("deploys",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `publish`."""
    parser.add_argument("--environment", required=True, help="environment, for example dev")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Publish the sources and print their URI."""
    uri = publish(target)
    print(json.dumps({"uri": uri}, indent=2) if options.json else f"Published {uri}.")
    return 0
