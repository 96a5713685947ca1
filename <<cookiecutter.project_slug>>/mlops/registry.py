"""The model registry: what a registered version says, and the choices made from many versions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from mlops.errors import MlopsError

APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"
NOTHING_REGISTERED = "No model is registered yet."
TRAIN_ONE = "Train one: .venv/bin/python -m mlops run"


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
    metadata: Mapping[str, str]


class Registry(Protocol):
    """A model package group, on this machine or in SageMaker."""

    def versions(self) -> list[ModelVersion]:
        """Every version, oldest first; an empty list before the first registration.

        Raises:
            MlopsError: The registry cannot be read.
        """

    def decide(self, version: int, status: str, comment: str) -> ModelVersion:
        """Give a version a new approval status.

        Raises:
            MlopsError: There is no such version.
        """

    def evaluation(self, version: ModelVersion) -> dict[str, Any]:
        """The evaluation report of a version.

        Raises:
            MlopsError: The report is gone.
        """

    def download_model(self, version: ModelVersion, folder: Path) -> Path:
        """Bring the model archive of a version into a folder and return its path.

        Raises:
            MlopsError: The archive is gone.
        """


def champion(versions: list[ModelVersion]) -> ModelVersion | None:
    """The version to beat, and to serve: the Approved one with the newest decision; None when none is approved."""
    approved = [version for version in versions if version.status == APPROVED]
    return max(approved, key=lambda version: (version.decided or version.created, version.version), default=None)


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
