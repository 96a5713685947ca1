"""The port through which the model registry is reached, wherever it is."""

from pathlib import Path
from typing import Any, Protocol

from mlops.registry.versions import ModelVersion


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

    def download_baseline(self, version: ModelVersion, folder: Path) -> None:
        """Bring the statistics and the constraints of a version's training data into a folder.

        Raises:
            MlopsError: The version has none, or they are gone.
        """
