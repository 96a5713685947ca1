"""Deploy the shared stacks (dev), or a version of the model (staging, production).

Shows the changes, prompts for confirmation, deploys and waits. Stacks that are up to date are not changed. The version
is the most recently approved one unless another is named. If a deployment fails, see docs/deploying.md.
"""

import json
from argparse import ArgumentParser, Namespace

from mlops.base.errors import MlopsError
from mlops.cli.console import prompt, report, require_terminal
from mlops.deployment import deploy
from mlops.deployment.cloudformation import Plan
from mlops.project.target import Target


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `deploy`."""
    parser.add_argument("--environment", required=True, help="dev, staging or production")
    parser.add_argument(
        "--stack", action="append", default=[], metavar="NAME", help="deploy only this stack (may be repeated)"
    )
    parser.add_argument(
        "--account",
        metavar="NAME",
        help="deploy only to this account, in a project with several; docs/accounts.md lists them",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="approved version to deploy (default: the latest approved)")
    which.add_argument(
        "--model-package",
        metavar="ARN",
        help="its ARN instead; nothing is deployed if another version has been approved since",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--yes", action="store_true", help="deploy without confirmation")
    how.add_argument("--check", action="store_true", help="check what a deployment needs, and change nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Deploy and print a summary."""
    request = deploy.DeployRequest(options.stack, options.account, options.version, options.model_package)
    deployment = deploy.Deployment(target, request, _accept if options.yes else _confirm, report)
    if not options.yes and not options.check:
        require_terminal("deploy")
    result = deployment.check() if options.check else deployment.run()
    if options.json:
        print(json.dumps(result.document(), indent=2))
    elif result.superseded:
        print("Nothing is deployed: another version is the champion now.")
    elif options.check:
        print(f"{options.environment}: nothing blocks a deployment.")
    else:
        serving = "" if result.version is None else f", version {result.version} is live"
        changed = [done for done in result.stacks if done.changed]
        print(f"{options.environment}: {len(changed)} of {len(result.stacks)} stacks changed{serving}.")
    return 0


def _accept(_: Plan) -> None:
    """Accept any plan, for `--yes`."""


def _confirm(plan: Plan) -> None:
    """Ask the user to confirm the plan that was printed.

    Raises:
        MlopsError: The user declined.
    """
    if prompt("Deploy this? [y/N] ").lower() not in ("y", "yes"):
        raise MlopsError(f"Cancelled: {plan.stack} was not changed.")
