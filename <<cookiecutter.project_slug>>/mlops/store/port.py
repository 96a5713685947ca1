"""The port through which objects in S3 are reached, wherever they are."""

from pathlib import Path
from typing import Any, Protocol


class Store(Protocol):
    """Objects by S3 URI (`s3://bucket/key`)."""

    def read_json(self, uri: str) -> Any:
        """Read the JSON document at a URI.

        Raises:
            MlopsError: There is none, or it is not JSON.
        """

    def download(self, uri: str, folder: Path) -> Path:
        """Copy the object at a URI into a folder, whole or not at all, and return its path.

        Raises:
            MlopsError: There is no such object, or the folder cannot be written.
        """
