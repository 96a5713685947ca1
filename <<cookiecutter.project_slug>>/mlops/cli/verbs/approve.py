"""Approve a registered version of the model, or reject it."""

from argparse import ArgumentParser, Namespace

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError
from mlops.endpoints.adapters import endpoint_of
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.versions import APPROVED, LATEST, PENDING, REJECTED, ModelVersion, champion, version_named


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `approve`."""
    parser.add_argument("version", help=f"the version's number, or `{LATEST}`: the newest one not decided on")
    parser.add_argument("--reject", action="store_true", help="reject it instead: it is no longer served")
    parser.add_argument("--comment", default="", help="why; kept with the version")
    parser.add_argument("--environment", default=LOCAL, help="whose registry (default: %(default)s)")


def run(target: Target, options: Namespace) -> int:
    """Give the version its new status."""
    source = registry_of(target)
    versions = source.versions()
    undecided = [version for version in versions if version.status == PENDING]
    if options.version == LATEST and versions and not undecided:
        raise MlopsError("Every version is decided on.", f"Name one: {MLOPS} models")
    number = version_named(undecided if options.version == LATEST else versions, options.version).version
    version = source.decide(number, REJECTED if options.reject else APPROVED, options.comment)
    print(f"Version {version.version} is {version.status}.")
    print(_next(target, champion(source.versions())))
    return 0


def _next(target: Target, wanted: ModelVersion | None) -> str:
    """What there is to do so that the version to use is used."""
    server = endpoint_of(target)
    if server and (advice := server.advice(wanted)):
        return f"  {advice}"
    if wanted is None:
        return "  no version is approved"
    if not target.is_local:
        return f"  version {wanted.version} is the one to deploy"
    return f"  version {wanted.version} is the one to use:  {MLOPS} invoke data/request.csv"
