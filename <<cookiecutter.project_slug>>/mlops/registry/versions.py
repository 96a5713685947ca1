"""Registered versions of a model, and the rules that choose one: the champion, the latest, by number."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError

APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"
NOTHING_REGISTERED = "No model is registered yet."
APPROVED_AT, APPROVED_BY = "approved_at", "approved_by"
"""The metadata keys of an approval: its time (UTC, ISO 8601), which SageMaker does not record, and who gave it."""

LATEST = "latest"
_LONGEST_VALUE = 256
_CHARACTERS = frozenset(" _.:/=+-@")
TRAIN_ONE = "Train one: `make run` in the project that trains."
TRAIN_AGAIN = f"Train again ({MLOPS} run --no-cache) and approve the new version."


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model package group.

    Attributes:
        version: The version's number, from 1.
        arn: Its ARN.
        status: Approved, PendingManualApproval or Rejected.
        created: When it was registered.
        decided: When it was approved or rejected; None while it is pending.
        comment: The comment on that decision.
        model_uri: The S3 URI of the model archive.
        evaluation_uri: The S3 URI of its evaluation report.
        baseline_uris: The S3 URIs of the statistics and the constraints of its training data; empty without a baseline.
        metadata: Its lineage: data version, commit, code digest, image, ...
        decision: The number of that decision in its registry, by which decisions are ordered; 0 if they have none.
        archive_sha256: The SHA-256 of the model archive, in hexadecimal; empty if it is not recorded.
    """

    version: int
    arn: str
    status: str
    created: datetime
    decided: datetime | None
    comment: str
    model_uri: str
    evaluation_uri: str
    baseline_uris: tuple[str, ...]
    metadata: Mapping[str, str]
    decision: int = 0
    archive_sha256: str = ""

    @property
    def as_champion(self) -> dict[str, str]:
        """The pipeline parameters of a run that is compared with this version."""
        return {"ChampionArn": self.arn, "ChampionModelUri": self.model_uri}


def champion(versions: list[ModelVersion]) -> ModelVersion | None:
    """Return the version to serve and to beat: the most recently approved one; None if none is approved."""
    approved = [version for version in versions if version.status == APPROVED]
    return max(
        approved,
        key=lambda version: (version.decision, version.decided or version.created, version.version),
        default=None,
    )


def approved_at(metadata: Mapping[str, str]) -> datetime | None:
    """Return the time of approval in a version's metadata; None if it is missing or has no time zone."""
    try:
        moment = datetime.fromisoformat(metadata.get(APPROVED_AT, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def with_approval(metadata: Mapping[str, str], moment: datetime, by: str) -> dict[str, str]:
    """Return metadata with the time of the approval added, and with who gave it (`unknown` for an empty text)."""
    time = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return {**metadata, APPROVED_AT: time, APPROVED_BY: as_value(by) or "unknown"}


def approver(record: Mapping[str, Any]) -> str:
    """Return who changed a model package last, from DescribeModelPackage: an ARN or a Studio user; empty if unknown.

    Right after an approval, that is the approver.
    """
    by = record.get("LastModifiedBy", {})
    return str(by.get("IamIdentity", {}).get("Arn") or by.get("UserProfileName") or "")


def as_value(text: str) -> str:
    """Return a text as a value of a model package's CustomerMetadataProperties.

    These allow up to 256 letters, digits, spaces and `_.:/=+-@`; other characters become spaces.
    """
    allowed = "".join(one if one.isalnum() or one in _CHARACTERS else " " for one in text)
    return " ".join(allowed.split())[:_LONGEST_VALUE].rstrip()


def of_package(record: Mapping[str, Any]) -> ModelVersion:
    """Convert a response of SageMaker's DescribeModelPackage."""
    status = record["ModelApprovalStatus"]
    metadata = record.get("CustomerMetadataProperties", {})
    # Any write to a package changes its LastModifiedTime, which is only the best approximation of a decision's time.
    decided = record.get("LastModifiedTime") or record["CreationTime"]
    if status == APPROVED:
        decided = approved_at(metadata) or decided
    return ModelVersion(
        version=record["ModelPackageVersion"],
        arn=record["ModelPackageArn"],
        status=status,
        created=record["CreationTime"],
        decided=None if status == PENDING else decided,
        comment=record.get("ApprovalDescription", ""),
        model_uri=record["InferenceSpecification"]["Containers"][0].get("ModelDataUrl", ""),
        evaluation_uri=record.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri", ""),
        baseline_uris=baseline_uris(record),
        metadata=metadata,
    )


def find(versions: list[ModelVersion], number: int) -> ModelVersion:
    """Return the version with a number.

    Raises:
        MlopsError: It does not exist; the message lists the versions that do.
    """
    for version in versions:
        if version.version == number:
            return version
    if not versions:
        raise MlopsError(NOTHING_REGISTERED, TRAIN_ONE)
    raise MlopsError(f"Version {number} does not exist.", f"Versions: {', '.join(str(v.version) for v in versions)}.")


def version_to_use(versions: list[ModelVersion], number: int | None) -> ModelVersion:
    """Return the version to predict with: the one with a number or, without a number, the champion.

    Raises:
        MlopsError: It does not exist, or no version is approved.
    """
    version = champion(versions) if number is None and versions else find(versions, number or 0)
    if version is None:
        raise MlopsError(
            "No version is approved.", f"List the versions: {MLOPS} models; then approve one: {MLOPS} approve VERSION"
        )
    return version


def version_named(versions: list[ModelVersion], name: str) -> ModelVersion:
    """Return the version that a number, or `latest`, names.

    Raises:
        MlopsError: It does not exist, or the name is neither.
    """
    if name == LATEST and versions:
        return versions[-1]
    if name != LATEST and not name.isdecimal():
        raise UsageError(f"{name!r} is neither a version number nor `{LATEST}`.")
    return find(versions, 0 if name == LATEST else int(name))


def baseline_uris(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the S3 URIs of the baseline that a model package was registered with."""
    documents = record.get("DriftCheckBaselines", {}).get("ModelDataQuality", {})
    return tuple(documents[name]["S3Uri"] for name in ("Statistics", "Constraints") if name in documents)


def require_baseline(version: ModelVersion) -> tuple[str, ...]:
    """Return the S3 URIs of a version's baseline.

    Raises:
        MlopsError: The version has no baseline.
    """
    if not version.baseline_uris:
        raise MlopsError(
            f"Version {version.version} was registered without a baseline: its requests cannot be compared."
        )
    return version.baseline_uris
