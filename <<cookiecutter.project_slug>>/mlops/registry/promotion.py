"""Promotion of approved versions: which one should be live, and whether to start its deployment.

Pure functions: the state of the registry, the environments and the deploy pipeline is passed in.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops.base.commands import MLOPS
from mlops.base.environments import ENVIRONMENTS
from mlops.base.errors import MlopsError, UsageError
from mlops.registry.versions import APPROVED, ModelVersion, approved_at, champion

START, REQUESTED, LIVE, NONE = "start", "already requested", "live", "none"


@dataclass(frozen=True)
class Decision:
    """What to do after a version was approved or rejected.

    Attributes:
        outcome: START a deployment; it is already REQUESTED; the version is LIVE everywhere; NONE is approved.
        version: The version that should be live; None if none is approved.
        reason: Why, in a sentence.
    """

    outcome: str
    version: ModelVersion | None
    reason: str


def decide(versions: list[ModelVersion], live: Mapping[str, str], last_requested: str | None) -> Decision:
    """Decide whether to start a deployment of the champion.

    Executions of the deploy pipeline pass each stage in the order of their start, and one whose version is no longer
    the champion deploys nothing. The newest execution therefore determines what ends up live.

    Args:
        versions: The versions of the registry; at least the approved ones.
        live: ARN of the live package by environment; environments without one are left out.
        last_requested: ARN of the package of the newest execution in progress; None if none is in progress.
    """
    best = champion(versions)
    if best is None:
        return Decision(NONE, None, "No version is approved: the live versions stay live.")
    missing = [environment for environment in ENVIRONMENTS if live.get(environment) != best.arn]
    name = f"Version {best.version}"
    if last_requested == best.arn:
        return Decision(REQUESTED, best, f"{name} is already being deployed by the newest execution in progress.")
    if last_requested is not None:
        return Decision(START, best, f"{name} is the champion, but the newest execution deploys another version.")
    if missing:
        return Decision(START, best, f"{name} is the champion, and not live in {' and '.join(missing)}.")
    return Decision(LIVE, best, f"{name} is live in {' and '.join(ENVIRONMENTS)}.")


def is_newer(moment: datetime, version: ModelVersion) -> bool:
    """Return whether an approval at a moment is later than the one recorded with a version, if any."""
    recorded = approved_at(version.metadata)
    return recorded is None or moment > recorded


def token(package: str, moment: datetime) -> str:
    """Return the idempotency token of a deployment: requesting it twice starts it once.

    It is made from the time of the event, not of the approval: when a later version is rejected, the previous one is
    deployed again, with its original approval.

    Args:
        package: ARN of the package.
        moment: The time of the event that caused the deployment; the same for each delivery of the event.
    """
    return hashlib.sha256(f"{package} {moment.isoformat()}".encode()).hexdigest()


def approved(versions: list[ModelVersion], package: str) -> ModelVersion:
    """Return the version of a package, which must be approved.

    Raises:
        MlopsError: The version is not approved, or not in the registry.
    """
    version = next((version for version in versions if version.arn == package), None)
    if version is None:
        raise UsageError(f"{package} is not in the registry.")
    if version.status != APPROVED:
        raise MlopsError(
            f"Version {version.version} is {version.status}: only approved versions can be deployed.",
            f"Approve it: {MLOPS} approve {version.version} --environment dev",
        )
    return version
