"""Monitoring's storage and registry on this machine."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops.base.documents import read_content
from mlops.base.files import all_files_below, copy_file, write_bytes
from mlops.monitoring.collect import Request, collect
from mlops.monitoring.place import Layout, Listed
from mlops.project.project import RUNTIME_ENVIRONMENT
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.archives import schema, unpacked
from mlops.registry.versions import ModelVersion, champion, find
from mlops.store.local import LocalStore


@dataclass(frozen=True)
class LocalPlace:
    """The local object store and registry (see `monitoring.place.Place`).

    Attributes:
        target: This machine.
    """

    target: Target
    lateness: timedelta = timedelta(seconds=2)
    """Servers flush their records every second."""
    percentage: float = 100
    """Endpoints on this machine are not asynchronous."""

    @property
    def layout(self) -> Layout:
        """The layout: one bucket holds all."""
        slug = self.target.project.slug
        folder = f"s3://{self.target.settings['bucket']}/{slug}"
        return Layout(slug, folder, folder)

    @property
    def store(self) -> LocalStore:
        """The object store."""
        return LocalStore.of(self.target)

    def folders(self, uri: str) -> list[str]:
        """Return the names of the folders directly below a URI, sorted."""
        path = self.store.path(uri)
        return sorted(each.name for each in path.iterdir() if each.is_dir()) if path.is_dir() else []

    def objects(self, uri: str, after: str = "") -> Iterator[Listed]:
        """Yield the objects below a URI in the order of their names, beginning after the name `after`."""
        for name, path in sorted(all_files_below(self.store.path(uri))):
            if name > after:
                yield Listed(name, datetime.fromtimestamp(path.stat().st_mtime, UTC))

    def read(self, uri: str) -> bytes | None:
        """Return the content of an object; None if it does not exist."""
        path = self.store.path(uri)
        remedy = f"Move it away: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.damaged')}"
        return read_content(path, "A document of monitoring", remedy) if path.exists() else None

    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""
        write_bytes(self.store.path(uri), content)

    def copy(self, source: str, target: str) -> bool:
        """Copy a document of a registered version, which the project that trains has; return False if it is missing."""
        path = LocalStore.of(self.target.trainer).path(source)
        if path.is_file():
            copy_file(path, self.store.path(target))
            return True
        return False

    def version(self, number: int) -> ModelVersion:
        """Return a registered version.

        Raises:
            MlopsError: It does not exist.
        """
        return find(registry_of(self.target).versions(), number)

    def archived_schema(self, version: ModelVersion) -> bytes | None:
        """Return the schema file in the archive of a version; an archive of release 0.4.0 has it as code.

        Raises:
            MlopsError: The archive is missing or damaged.
        """
        project = self.target.project
        model = unpacked(registry_of(self.target), version, project.state / "models")
        return schema(model, project.python(RUNTIME_ENVIRONMENT))

    def collect(self, request: Request) -> dict[str, str]:
        """Collect a window (see `monitoring.collect`).

        Raises:
            MlopsError: Something cannot be read.
        """
        return collect(self, request)

    def live(self, environment: str) -> int | None:
        """Return the number of the version in use; None if none is approved."""
        used = champion(registry_of(self.target).versions())
        return used.version if used else None
