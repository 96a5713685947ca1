"""What the registered versions of a model name: the objects that they were trained on, and results of runs.

Registered means in the model package group, approved or not. A Lambda function imports this module.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from mlops.base.errors import MlopsError
from mlops.registry.inputs import manifest_name
from mlops.registry.versions import ModelVersion, of_package
from mlops.store.history import Stored
from mlops.store.objects import ObjectVersion, split_uri


class Manifests(Protocol):
    """The manifests of data versions (see `registry.inputs`)."""

    def names(self) -> AbstractSet[str]:
        """Return the names of the manifests that exist."""

    def read(self, name: str) -> Sequence[ObjectVersion]:
        """Return the objects that a manifest lists.

        Raises:
            MlopsError: It cannot be read.
        """


@dataclass(frozen=True)
class Named:
    """What registered versions name.

    Attributes:
        objects: Hashes of bucket, key and version of the objects that they were trained on. A collision can only keep
            an object.
        uris: The URIs in their packages, but for those of their data.
        runs: The ids of the runs that these URIs are results of.
        unlisted: By prefix of URIs, the time until which objects were written that a version without a readable
            manifest may have been trained on.
        problems: What could not be read although it must be there, as sentences.
        legacy: The numbers of the versions without a manifest: from before there were any, or registered by hand.
    """

    objects: AbstractSet[int]
    uris: AbstractSet[str]
    runs: AbstractSet[str]
    unlisted: Mapping[str, datetime]
    problems: Sequence[str]
    legacy: Sequence[int]

    def names(self, bucket: str, stored: Stored, run: str | None) -> bool:
        """Return whether a version names an object version.

        Args:
            bucket: The bucket.
            stored: The object version.
            run: The id of the run that it is a result of; None if it is not a result.
        """
        uri = f"s3://{bucket}/{stored.object.key}"
        return run in self.runs or uri in self.uris or _hash(bucket, stored.object) in self.objects

    def may_name(self, bucket: str, stored: Stored) -> bool:
        """Return whether a version without a readable manifest may have been trained on an object version."""
        uri = f"s3://{bucket}/{stored.object.key}"
        return any(uri.startswith(prefix) and stored.written <= until for prefix, until in self.unlisted.items())


def named(records: Sequence[Mapping[str, Any]], slug: str, manifests: Manifests) -> Named:
    """Collect what versions name.

    Args:
        records: Their responses of DescribeModelPackage, oldest first.
        slug: The project.
        manifests: The manifests of data versions.
    """
    uris = {uri for record in records for uri in _uris(record)}
    found = re.compile(rf"s3://[^/]+/{re.escape(slug)}/runs/([^/]+)")
    runs = {match[1] for uri in uris if (match := found.match(uri))}
    versions = [of_package(record) for record in records]
    uris -= {version.metadata.get("InputDataUri", "") for version in versions}
    data = _Data(set(), {}, [], [])
    data.collect(versions, manifests)
    return Named(data.objects, uris, runs, data.unlisted, data.problems, data.legacy)


@dataclass(frozen=True)
class _Data:
    objects: set[int]
    unlisted: dict[str, datetime]
    problems: list[str]
    legacy: list[int]

    def collect(self, versions: Iterable[ModelVersion], manifests: Manifests) -> None:
        """Collect the objects that versions were trained on, oldest version first."""
        existing, read = manifests.names(), set[tuple[str, str]]()
        for version in versions:
            data, uri = version.metadata.get("DataVersion", ""), version.metadata.get("InputDataUri", "")
            name = manifest_name(data)
            if not data or (name not in existing and not read):
                self.legacy.append(version.version)
                self._leave(uri, version.created)
            elif (data, uri) not in read:
                read.add((data, uri))
                try:
                    bucket, _ = split_uri(uri)
                    self.objects.update(_hash(bucket, each) for each in manifests.read(name))
                except MlopsError as error:
                    self.problems.append(f"The data of version {version.version} is not known: {error.message}")
                    self._leave(uri, version.created)

    def _leave(self, uri: str, created: datetime) -> None:
        self.unlisted[uri] = max(created, self.unlisted.get(uri, created))


def _hash(bucket: str, version: ObjectVersion) -> int:
    return hash((bucket, version.key, version.version))


def _uris(value: Any) -> Iterator[str]:
    """Yield the S3 URIs in a document."""
    if isinstance(value, str) and value.startswith("s3://"):
        yield value
    elif isinstance(value, Mapping | list):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from _uris(member)
