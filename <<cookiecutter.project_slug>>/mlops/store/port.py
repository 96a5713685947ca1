"""The interface of an object store."""

from pathlib import Path
from typing import Any, Protocol


class Store(Protocol):
    """Objects by S3 URI (`s3://bucket/key`)."""

    def read_json(self, uri: str) -> Any:
        """Read the JSON document at a URI.

        Raises:
            MlopsError: The object does not exist, or is not JSON.
        """

    def download(self, uri: str, folder: Path) -> Path:
        """Copy the object at a URI into a folder, atomically, and return its path.

        Raises:
            MlopsError: The object does not exist, or the folder cannot be written.
        """
