"""A local folder in place of S3: `s3://bucket/key` is `<root>/bucket/key`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.documents import read_document
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import all_files_below, below, copy_file, sha256_of_file
from mlops.project.target import Target
from mlops.store.objects import ObjectVersion, manifest_entries, relative, split_uri

_RUN = f"{MLOPS} run --no-cache"


@dataclass(frozen=True)
class LocalStore:
    """The local object store.

    Attributes:
        root: The folder with one folder per bucket.
    """

    root: Path

    @classmethod
    def of(cls, target: Target) -> "LocalStore":
        """Return the store of a project."""
        return cls(target.project.store)

    def path(self, uri: str) -> Path:
        """Return the path of the object or prefix at an S3 URI.

        Raises:
            MlopsError: The URI is not an S3 URI, or points outside the store.
        """
        bucket, key = split_uri(uri)
        try:
            return below(self.root, f"{bucket}/{key}")
        except UsageError:
            raise UsageError(f"{uri!r} is not an S3 URI (s3://bucket/key) without `.` and `..`.") from None

    def objects(self, uri: str) -> Iterator[tuple[str, Path]]:
        """Yield key and path of each object whose URI starts with a URI, as S3 matches prefixes, sorted by key.

        `s3://bucket/test` matches `s3://bucket/test_small/a.csv` as well; `s3://bucket/test/` does not.
        """
        bucket, prefix = split_uri(uri)
        self.path(uri)  # rejects what points outside the store
        root = self.root / bucket
        folder, _, start = prefix.rpartition("/")
        above = root / folder
        entries = sorted(above.iterdir()) if above.is_dir() else []
        for entry in (entry for entry in entries if entry.name.startswith(start)):
            for path in [entry] if entry.is_file() else [path for _, path in all_files_below(entry)]:
                yield path.relative_to(root).as_posix(), path

    def exists(self, uri: str) -> bool:
        """Return whether there is an object whose URI starts with the URI (see `Store.exists`)."""
        return any(True for _ in self.objects(uri))

    def versions(self, uri: str) -> list[ObjectVersion]:
        """Return the objects whose URIs start with a URI (see `Store.versions`)."""
        found = self.objects(uri)
        return [ObjectVersion(key, sha256_of_file(path), path.stat().st_size) for key, path in found]

    def copy(self, bucket: str, version: ObjectVersion, uri: str) -> None:
        """Copy an object to another URI (see `Store.copy`)."""
        copy_file(self.path(f"s3://{bucket}/{version.key}"), self.path(uri))

    def download(self, uri: str, folder: Path) -> Path:
        """Copy the object at a URI into a folder (see `Store.download`)."""
        source = self.path(uri)
        if not source.is_file():
            raise self._missing(uri)
        copy_file(source, folder / source.name)
        return folder / source.name

    def download_prefix(self, uri: str, destination: Path) -> None:
        """Copy the objects whose URIs start with a URI into a folder, as SageMaker does for an S3Prefix input.

        Raises:
            MlopsError: There is none, or the folder cannot be written.
        """
        found = list(self.objects(uri))
        if not found:
            raise self._missing(uri)
        for key, path in found:
            copy_file(path, below(destination, relative(key, uri)))

    def download_manifest(self, uri: str, destination: Path) -> None:
        """Copy the objects that a manifest lists into a folder, as SageMaker does for a ManifestFile input.

        Raises:
            MlopsError: The manifest or an object is missing, or the manifest is not one.
        """
        prefix, names = manifest_entries(self.read_json(uri), uri)
        objects = [(name, f"{prefix}{name}") for name in names]
        if not objects:
            raise MlopsError(f"The manifest {uri} lists no objects.")
        for name, listed in objects:
            source = self.path(listed)
            if not source.is_file():
                raise self._missing(listed)
            copy_file(source, below(destination, name))

    def upload(self, source: Path, uri: str) -> None:
        """Copy a file to a URI, or all files of a folder below it. Each object is written atomically, as in S3.

        Raises:
            MlopsError: The store cannot be written.
        """
        target = self.path(uri)
        if source.is_file():
            copy_file(source, target)
        else:
            for name, path in all_files_below(source):
                copy_file(path, target / name)

    def read_json(self, uri: str, shape: Any = Any) -> Any:
        """Read the JSON document at a URI (see `Store.read_json`)."""
        path = self.path(uri)
        if not path.is_file():
            raise self._missing(uri)
        return read_document(path, shape, f"The object {uri}", f"To write it again: {_RUN}")

    def _missing(self, uri: str) -> MlopsError:
        return MlopsError(
            f"No object at {uri} (locally {self.path(uri)}).",
            f"It was deleted or never written. To create it again: {_RUN}",
        )
