"""Remove what was deployed to an environment: its stacks, and what failed deployments have left of it.

Data, models and the keys that they are encrypted with outlive it: it says how to remove those by hand.
"""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from mlops.base.errors import MlopsError
from mlops.cli.console import ask, require_reader, say
from mlops.deployment.destroy import Removal
from mlops.project.target import Target


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `destroy`."""
    parser.add_argument("--environment", required=True, help="dev, staging or production")
    parser.add_argument("--stack", action="append", default=[], metavar="NAME", help="only this one (may be repeated)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Say what is to be removed, ask, remove it, and say what stays."""
    removal = Removal(target, options.stack, say)
    if not options.yes:
        require_reader("remove it")
    standing = removal.standing()
    say("\n".join([f"To be removed from {options.environment}:", *(f"  {name}" for name in standing or ["no stack"])]))
    if not options.yes:
        _confirm(target.project.slug)
    removed = removal.run(standing)
    if options.json:
        print(json.dumps(asdict(removed), indent=2))
        return 0
    print(f"{len(removed.stacks)} stacks are removed, and {len(removed.leftovers)} things that no stack held.")
    if removed.retained:
        print("Still there on purpose; to remove them by hand:")
    for one in removed.retained:
        print(f"  {one.type} {one.id}\n    {one.remedy}")
    return 0


def _confirm(slug: str) -> None:
    """Have the reader type the project's name.

    Raises:
        MlopsError: They typed something else.
    """
    if ask(f"Type {slug} to remove this for good: ") != slug:
        raise MlopsError("That is another name: nothing was removed.")
