"""Remove the stacks of an environment, and the resources that failed deployments left behind.

Data, models and the keys that encrypt them are retained; the output lists them with the commands that delete them.
"""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from mlops.base.errors import MlopsError
from mlops.cli.console import prompt, report, require_terminal
from mlops.deployment.destroy import Removal
from mlops.project.target import Target


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `destroy`."""
    parser.add_argument("--environment", required=True, help="dev, staging or production")
    parser.add_argument(
        "--stack", action="append", default=[], metavar="NAME", help="remove only this stack (may be repeated)"
    )
    parser.add_argument(
        "--account",
        metavar="NAME",
        help="remove only from this account, in a project with several; docs/accounts.md lists them",
    )
    parser.add_argument("--yes", action="store_true", help="remove without confirmation")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """List what will be removed, prompt for confirmation, remove it, and list what is retained."""
    removal = Removal(target, options.stack, options.account, report)
    if not options.yes:
        require_terminal("remove it")
    stacks = removal.existing_stacks()
    report(
        "\n".join(
            [
                f"To be removed from {options.environment}:",
                *(f"  {each.name}" for each in stacks),
                *([] if stacks else ["  no stacks"]),
            ]
        )
    )
    if not options.yes:
        _confirm(target.project.slug)
    removed = removal.run(stacks)
    if options.json:
        print(json.dumps(asdict(removed), indent=2))
        return 0
    print(f"Removed {len(removed.stacks)} stacks, and {len(removed.leftovers)} resources outside of stacks.")
    if removed.retained:
        print("Retained on purpose; to delete them by hand:")
    for one in removed.retained:
        print(f"  {one.type} {one.id}\n    {one.remedy}")
    return 0


def _confirm(slug: str) -> None:
    """Ask the user to type the project's name.

    Raises:
        MlopsError: The user typed anything else.
    """
    if prompt(f"Type {slug} to remove this permanently: ") != slug:
        raise MlopsError("Cancelled: the name does not match. Nothing was removed.")
