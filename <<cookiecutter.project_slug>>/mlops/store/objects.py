"""The objects of a data set in S3, and the version that they make up. Lambda functions import this module."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypedDict

from mlops.base.documents import conform
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import DIGEST_LENGTH, is_data

UNVERSIONED = "null"
"""The version id of objects from before versioning was enabled."""


class ObjectVersion(NamedTuple):
    """A version of an object.

    Attributes:
        key: Its key.
        version: Its version id in a versioned bucket, else its ETag; on this machine, the SHA-256 of its content.
        size: Its size in bytes.
    """

    key: str
    version: str
    size: int

    @property
    def is_etag(self) -> bool:
        """Whether its version is an ETag, which is in quotes."""
        return self.version.startswith('"')


def newest_versions(s3: Any, bucket: str, prefix: str) -> list[ObjectVersion]:
    """Return the newest version of each data object (`is_data`) below a prefix.

    Args:
        s3: A boto3 client.
        bucket: The bucket.
        prefix: The prefix.
    """
    uri = f"s3://{bucket}/{prefix}"
    found = all_versions(s3, bucket, prefix)
    return [version for version, newest in found if newest and is_data(relative(version.key, uri))]


def all_versions(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[ObjectVersion, bool]]:
    """Yield each version of each object whose key starts with a prefix, and whether it is the newest one.

    Args:
        s3: A boto3 client.
        bucket: The bucket.
        prefix: The prefix.
    """
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Versions", []):
            yield of_entry(entry), entry["IsLatest"]


def of_entry(entry: Mapping[str, Any]) -> ObjectVersion:
    """Convert a version of a response of S3's ListObjectVersions."""
    version = entry["ETag"] if entry["VersionId"] == UNVERSIONED else entry["VersionId"]
    return ObjectVersion(entry["Key"], version, entry["Size"])


def data_version(objects: Iterable[ObjectVersion]) -> str:
    """Return the version of a data set: the first digits of a SHA-256 of its objects' keys, versions and sizes."""
    digest = hashlib.sha256()
    for key, version, size in sorted(objects):
        digest.update(f"{key}\0{version}\0{size}\n".encode())
    return digest.hexdigest()[:DIGEST_LENGTH]


class _Prefix(TypedDict):
    prefix: str


def manifest_entries(document: Any, uri: str) -> tuple[str, list[str]]:
    """Return the prefix of a manifest, as S3DataSource has them, and the names below it.

    Args:
        document: The manifest.
        uri: Its URI, for the message.

    Raises:
        MlopsError: It is not a manifest.
    """
    try:
        first, *rest = conform(document, list[Any])
        prefix, names = conform(first, _Prefix, "0")["prefix"], conform(rest, list[str])
        if absolute := [name for name in names if name.startswith("/")]:
            raise ValueError(f"{absolute[0]!r:.100} begins with a slash")
    except ValueError as error:
        raise MlopsError(f"{uri} is not a manifest: {error}.", "See API_S3DataSource in SageMaker's API.") from None
    return prefix, names


def split_uri(uri: str) -> tuple[str, str]:
    """Split an S3 URI into bucket and key.

    Raises:
        MlopsError: It is not an S3 URI.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise UsageError(f"{uri!r} is not an S3 URI (s3://bucket/key).")
    return bucket, key


def relative(key: str, uri: str) -> str:
    """Return the name of an object below the URI that it was found with: the last part of its key if that is the URI's.

    Args:
        key: The object's key.
        uri: An S3 URI that the object's URI starts with.
    """
    return key.removeprefix(split_uri(uri)[1]).lstrip("/") or key.rpartition("/")[2]
