"""The objects of a data set in S3, and the version that they make up. Lambda functions import this module."""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from mlops.base.errors import UsageError
from mlops.base.files import DIGEST_LENGTH


class ObjectVersion(NamedTuple):
    """The newest version of an object.

    Attributes:
        key: Its key.
        version: Its version id in a versioned bucket, else its ETag.
        size: Its size in bytes.
    """

    key: str
    version: str
    size: int


def is_data(key: str) -> bool:
    """Return whether an object below the data prefix is data: neither a folder, nor hidden (`.name`, `_SUCCESS`)."""
    name = key.rpartition("/")[2]
    return bool(name) and not name.startswith((".", "_"))


def newest_versions(s3: Any, bucket: str, prefix: str) -> list[ObjectVersion]:
    """Return the newest version of each data object whose key starts with a prefix.

    Args:
        s3: A boto3 client.
        bucket: The bucket.
        prefix: The prefix.
    """
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [
        # Objects from before versioning was enabled have the version id "null".
        ObjectVersion(
            entry["Key"], entry["ETag"] if entry["VersionId"] == "null" else entry["VersionId"], entry["Size"]
        )
        for page in pages
        for entry in page.get("Versions", [])
        if entry["IsLatest"] and is_data(entry["Key"])
    ]


def data_version(objects: Iterable[ObjectVersion]) -> str:
    """Return the version of a data set: the first digits of a SHA-256 of its objects' keys, versions and sizes."""
    digest = hashlib.sha256()
    for key, version, size in sorted(objects):
        digest.update(f"{key}\0{version}\0{size}\n".encode())
    return digest.hexdigest()[:DIGEST_LENGTH]


def split_uri(uri: str) -> tuple[str, str]:
    """Split an S3 URI into bucket and key.

    Raises:
        MlopsError: It is not an S3 URI.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise UsageError(f"{uri!r} is not an S3 URI (s3://bucket/key).")
    return bucket, key
