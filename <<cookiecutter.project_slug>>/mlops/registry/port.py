"""The interface of a model registry."""

from pathlib import Path
from typing import Any, Protocol

from mlops.registry.versions import ModelVersion


class Registry(Protocol):
    """A model package group, on this machine or in SageMaker."""

    def versions(self) -> list[ModelVersion]:
        """Return all versions, oldest first; an empty list before the first registration.

        Raises:
            MlopsError: The registry cannot be read.
        """

    def decide(self, version: int, status: str, comment: str) -> ModelVersion:
        """Set the approval status of a version.

        Raises:
            MlopsError: The version does not exist.
        """

    def evaluation(self, version: ModelVersion) -> Any:
        """Return the evaluation report of a version: any JSON value, because the owner's may have a form of its own.

        Raises:
            MlopsError: The report is missing, or is not JSON.
        """

    def download_model(self, version: ModelVersion, folder: Path) -> Path:
        """Copy the model archive of a version into a folder and return its path.

        Raises:
            MlopsError: The archive is missing.
        """

    def download_baseline(self, version: ModelVersion, folder: Path) -> None:
        """Copy the statistics and the constraints of a version's training data into a folder.

        Raises:
            MlopsError: The version has no baseline, or its files are missing.
        """
