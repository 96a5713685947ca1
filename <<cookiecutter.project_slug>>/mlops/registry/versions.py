"""Registered versions of a model, and the choices made from many."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError

APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"
NOTHING_REGISTERED = "No model is registered yet."
APPROVED_AT = "approved_at"
"""The metadata of a version that says when it was approved, UTC, ISO 8601: SageMaker itself keeps no such time."""

LATEST = "latest"
TRAIN_ONE = "Train one: `make run` in the project that trains."


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model package group.

    Attributes:
        version: The version's number, from 1.
        arn: Its ARN.
        status: Approved, PendingManualApproval or Rejected.
        created: When it was registered.
        decided: When it got its present status, if a person or a pipeline approved or rejected it.
        comment: What was said with that decision.
        model_uri: The S3 URI of the model archive.
        evaluation_uri: The S3 URI of its evaluation report.
        baseline_uris: The S3 URIs of the statistics and the constraints of its training data; none without a baseline.
        metadata: Its lineage: data version, commit, code digest, image, ...
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


def champion(versions: list[ModelVersion]) -> ModelVersion | None:
    """The version to beat, and to serve: the Approved one with the newest decision; None when none is approved."""
    approved = [version for version in versions if version.status == APPROVED]
    return max(approved, key=lambda version: (version.decided or version.created, version.version), default=None)


def approved_at(metadata: Mapping[str, str]) -> datetime | None:
    """When a version was approved, as its metadata says; None when that says nothing, or no time with its zone."""
    try:
        moment = datetime.fromisoformat(metadata.get(APPROVED_AT, ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def with_approval_time(metadata: Mapping[str, str], moment: datetime) -> dict[str, str]:
    """The metadata of a version that was approved at a moment."""
    return {**metadata, APPROVED_AT: moment.astimezone(UTC).isoformat(timespec="microseconds")}


def of_package(record: Mapping[str, Any]) -> ModelVersion:
    """The version that SageMaker's DescribeModelPackage describes."""
    status = record["ModelApprovalStatus"]
    metadata = record.get("CustomerMetadataProperties", {})
    # Any write to a package changes its LastModifiedTime: that is but the nearest to the time of a decision.
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
    """The version with a number.

    Raises:
        MlopsError: There is none; the message lists those that exist.
    """
    for version in versions:
        if version.version == number:
            return version
    if not versions:
        raise MlopsError(NOTHING_REGISTERED, TRAIN_ONE)
    raise MlopsError(f"There is no version {number}.", f"Versions: {', '.join(str(v.version) for v in versions)}.")


def version_to_use(versions: list[ModelVersion], number: int | None) -> ModelVersion:
    """The version to predict with: the one with a number or, without a number, the champion.

    Raises:
        MlopsError: There is none.
    """
    version = champion(versions) if number is None and versions else find(versions, number or 0)
    if version is None:
        raise MlopsError("No version is approved.", f"Approve one of those that `{MLOPS} models` lists.")
    return version


def version_named(versions: list[ModelVersion], name: str) -> ModelVersion:
    """The version that a number, or `latest`, names.

    Raises:
        MlopsError: There is none, or the name is neither.
    """
    if name == LATEST and versions:
        return versions[-1]
    if name != LATEST and not name.isdecimal():
        raise UsageError(f"{name!r} is neither a version's number nor `{LATEST}`.")
    return find(versions, 0 if name == LATEST else int(name))


def baseline_uris(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The S3 URIs of the baseline that a model package was registered with."""
    documents = record.get("DriftCheckBaselines", {}).get("ModelDataQuality", {})
    return tuple(documents[name]["S3Uri"] for name in ("Statistics", "Constraints") if name in documents)


def require_baseline(version: ModelVersion) -> tuple[str, ...]:
    """The S3 URIs of a version's baseline.

    Raises:
        MlopsError: It has none.
    """
    if not version.baseline_uris:
        raise MlopsError(f"Version {version.version} was registered without a baseline to compare its traffic with.")
    return version.baseline_uris
