"""Put the project's sources where the deployment pipeline takes them from: what is deployed next comes from them."""

import json
from argparse import ArgumentParser, Namespace

from mlops.deployment.publish import publish
from mlops.project.target import Target

NEEDS = ("deploys",)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `publish`."""
    parser.add_argument("--environment", required=True, help="the environment, for instance dev")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(target: Target, options: Namespace) -> int:
    """Publish, and say where."""
    uri = publish(target)
    print(json.dumps({"uri": uri}, indent=2) if options.json else f"Published {uri}.")
    return 0
