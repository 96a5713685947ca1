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
    parser.add_argument("version", help=f"version number, or `{LATEST}` for the newest version pending approval")
    parser.add_argument("--reject", action="store_true", help="reject the version instead: it is no longer used")
    parser.add_argument("--comment", default="", help="reason, recorded with the version")
    parser.add_argument("--environment", default=LOCAL, help="environment of the registry (default: %(default)s)")


def run(target: Target, options: Namespace) -> int:
    """Set the approval status of the version."""
    source = registry_of(target)
    versions = source.versions()
    pending = [version for version in versions if version.status == PENDING]
    if options.version == LATEST and versions and not pending:
        raise MlopsError("No version is pending approval.", f"Choose one by its number: {MLOPS} models")
    number = version_named(pending if options.version == LATEST else versions, options.version).version
    version = source.decide(number, REJECTED if options.reject else APPROVED, options.comment)
    print(f"Version {version.version} is {version.status}.")
    print(_next(target, champion(source.versions())))
    return 0


def _next(target: Target, best: ModelVersion | None) -> str:
    """Return the next step that puts the champion to use."""
    server = endpoint_of(target)
    if server and (advice := server.advice(best)):
        return f"  {advice}"
    if best is None:
        return "  no version is approved"
    if not target.is_local:
        return f"  version {best.version} is the version to deploy"
    return f"  version {best.version} is the version to use:  {MLOPS} invoke data/request.csv"
