"""Approve a registered version of the model, or reject it."""

from argparse import ArgumentParser, Namespace

from mlops.errors import MlopsError
from mlops.platforms import registry
from mlops.project import LOCAL, Project
from mlops.registry import APPROVED, PENDING, REJECTED, find

LATEST = "latest"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `approve`."""
    parser.add_argument("version", help=f"the version's number, or `{LATEST}`: the newest one not decided on")
    parser.add_argument("--reject", action="store_true", help="reject it instead: it is no longer served")
    parser.add_argument("--comment", default="", help="why; kept with the version")
    parser.add_argument("--environment", default=LOCAL, help="whose registry (default: %(default)s)")


def run(project: Project, options: Namespace) -> int:
    """Give the version its new status."""
    source = registry(project, options.environment)
    versions = source.versions()
    undecided = [version.version for version in versions if version.status == PENDING]
    if options.version == LATEST and undecided:
        number = undecided[-1]
    elif options.version == LATEST and versions:
        raise MlopsError("Every version is decided on.", "Name one: .venv/bin/python -m mlops models")
    elif options.version == LATEST or options.version.isdecimal():
        number = find(versions, 0 if options.version == LATEST else int(options.version)).version
    else:
        raise MlopsError(f"{options.version!r} is neither a version's number nor `{LATEST}`.", exit_code=2)
    version = source.decide(number, REJECTED if options.reject else APPROVED, options.comment)
    print(f"Version {version.version} is {version.status}.")
    if version.status == APPROVED:
        print("  ask it:  .venv/bin/python -m mlops invoke data/request.csv")
    return 0
