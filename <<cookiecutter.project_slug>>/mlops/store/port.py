"""The interface of an object store."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from mlops.store.objects import ObjectVersion


class Store(Protocol):
    """Objects by S3 URI (`s3://bucket/key`)."""

    def read_json(self, uri: str, shape: Any = Any) -> Any:
        """Read the JSON document at a URI.

        Args:
            uri: The URI.
            shape: The structure that it must have (see `base.documents`).

        Raises:
            MlopsError: The object does not exist, or is not such a document.
        """

    def download(self, uri: str, folder: Path) -> Path:
        """Copy the object at a URI into a folder, atomically, and return its path.

        Raises:
            MlopsError: The object does not exist, or the folder cannot be written.
        """

    def exists(self, uri: str) -> bool:
        """Return whether there is an object at the URI, or any below it."""

    def versions(self, uri: str) -> Iterable[ObjectVersion]:
        """Return the versions of objects at or below a URI that can be read: in S3, the old ones as well."""

    def copy(self, bucket: str, version: ObjectVersion, uri: str) -> None:
        """Copy a version of an object of a bucket to a URI.

        Raises:
            MlopsError: It does not exist, or the URI cannot be written.
        """
