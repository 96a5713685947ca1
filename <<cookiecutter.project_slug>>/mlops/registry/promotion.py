"""Promotion of approved versions: which one is to be live, and whether its deployment has to be asked for.

Nothing here asks AWS: what the registry, the environments and the deploy pipeline say comes in as arguments.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS
from mlops.base.errors import MlopsError, UsageError
from mlops.registry.versions import APPROVED, ModelVersion, approved_at, champion

START, ASKED, LIVE, NONE = "start", "already asked", "live", "none"


@dataclass(frozen=True)
class Decision:
    """What there is to do after a version was approved or rejected.

    Attributes:
        outcome: START its deployment; it is ASKED for already; it is LIVE everywhere; NONE is approved.
        wanted: The version to be live; None without an approved one.
        reason: Why, in a sentence.
    """

    outcome: str
    wanted: ModelVersion | None
    reason: str


def decide(versions: list[ModelVersion], live: Mapping[str, str], last_asked: str | None) -> Decision:
    """Whether the deployment of the wanted version has to be started.

    Executions of the deploy pipeline pass each stage in the order of their start, and one whose version is no longer
    wanted deploys nothing: what the newest one deploys is what stays.

    Args:
        versions: Those of the registry that are approved, at least.
        live: ARN of the package that is live, by environment; an environment without one is left out.
        last_asked: ARN of the package of the newest execution under way; None when none is.
    """
    wanted = champion(versions)
    if wanted is None:
        return Decision(NONE, None, "No version is approved: what is live stays live.")
    missing = [environment for environment in ENVIRONMENTS if live.get(environment) != wanted.arn]
    if last_asked == wanted.arn:
        return Decision(ASKED, wanted, f"The newest execution under way deploys version {wanted.version}.")
    if last_asked is not None:
        return Decision(START, wanted, f"Another version is under way, but version {wanted.version} is wanted.")
    if missing:
        return Decision(START, wanted, f"Version {wanted.version} is wanted, and not live in {' and '.join(missing)}.")
    return Decision(LIVE, wanted, f"Version {wanted.version} is live in {' and '.join(ENVIRONMENTS)}.")


def is_newer(moment: datetime, version: ModelVersion) -> bool:
    """Whether an approval at a moment is later than the one recorded with a version, if any."""
    stamp = approved_at(version.metadata)
    return stamp is None or moment > stamp


def token(package: str, moment: datetime) -> str:
    """What makes asking twice for the same deployment ask once.

    Not the time of the approval tells two of a version apart: when a later version is rejected, the one before it is
    deployed again, with the approval that it has had all along.

    Args:
        package: ARN of the package.
        moment: When what is reacted to has happened; the same for each delivery of an event.
    """
    return hashlib.sha256(f"{package} {moment.isoformat()}".encode()).hexdigest()


def approved(versions: list[ModelVersion], package: str) -> ModelVersion:
    """The version of a package that may be deployed: an approved one.

    Raises:
        MlopsError: It is not approved any more, or not in the registry.
    """
    version = next((version for version in versions if version.arn == package), None)
    if version is None:
        raise UsageError(f"The registry holds no {package}.")
    if version.status != APPROVED:
        raise MlopsError(
            f"Version {version.version} is {version.status}: only approved versions are deployed.",
            f"Approve it: {MLOPS} approve {version.version} --environment dev",
        )
    return version
