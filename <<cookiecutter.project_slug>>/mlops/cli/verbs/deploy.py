"""Deploy what all environments share (dev), or a version of the model (staging, production).

Shows what changes, asks, deploys and waits. A second time, nothing is changed. The version is the approved one unless
another is named. docs/deploying.md says what to do when it fails.
"""

import json
from argparse import ArgumentParser, Namespace

from mlops.base.errors import MlopsError
from mlops.cli.console import ask, require_reader, say
from mlops.deployment import deploy
from mlops.deployment.cloudformation import Plan
from mlops.project.target import Target


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `deploy`."""
    parser.add_argument("--environment", required=True, help="dev, staging or production")
    parser.add_argument("--stack", action="append", default=[], metavar="NAME", help="only this one (may be repeated)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="the approved version to deploy (default: the one to use)")
    which.add_argument(
        "--model-package", metavar="ARN", help="the same by its ARN; nothing is deployed if it is not the one to use"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Deploy, and say what was done."""
    request = deploy.DeployRequest(options.stack, options.version, options.model_package)
    deployment = deploy.Deployment(target, request, _agreed if options.yes else _confirm, say)
    if not options.yes:
        require_reader("deploy")
    report = deployment.run()
    if options.json:
        print(json.dumps(report.document(), indent=2))
    elif report.superseded:
        print("Another version is the one to use by now: nothing was deployed.")
    else:
        serving = "" if report.version is None else f", version {report.version} is live"
        changed = [done for done in report.stacks if done.changed]
        print(f"{options.environment}: {len(changed)} of {len(report.stacks)} stacks changed{serving}.")
    return 0


def _agreed(_: Plan) -> None:
    """`--yes` has said it."""


def _confirm(plan: Plan) -> None:
    """Ask the reader, who has been shown the plan.

    Raises:
        MlopsError: They do not say yes.
    """
    if ask("Deploy this? [y/N] ").lower() not in ("y", "yes"):
        raise MlopsError(f"{plan.stack} was not deployed: nothing of it was changed.")
