"""The versions of the objects in a bucket, with their times. A Lambda function imports this module."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from mlops.store.objects import ObjectVersion, of_entry


class Stored(NamedTuple):
    """A version of an object in S3.

    Attributes:
        object: The version.
        id: Its version id in requests; `null` from before versioning was enabled.
        written: When it was written.
        replaced: When a newer version or a delete marker replaced it; None for the current version.
    """

    object: ObjectVersion
    id: str
    written: datetime
    replaced: datetime | None


def pages(s3: Any, bucket: str, prefix: str, after: str = "") -> Iterator[list[Stored]]:
    """Yield the versions of the objects whose keys start with a prefix, in the order of the keys, page by page.

    Args:
        s3: A boto3 client.
        bucket: The bucket.
        prefix: The prefix.
        after: Begin with the first key after this one.
    """
    start = {"KeyMarker": after} if after else {}
    key, newer = after, None
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix, **start):
        found = []
        # S3 lists versions newest first, and the delete markers among them separately.
        entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        entries.sort(key=lambda one: (one["Key"], not one["IsLatest"], -one["LastModified"].timestamp()))
        for entry in (one for one in entries if one["Key"] > after):
            newer = newer if entry["Key"] == key else None
            if "Size" in entry:  # delete markers have none
                found.append(Stored(of_entry(entry), entry["VersionId"], entry["LastModified"], newer))
            key, newer = entry["Key"], entry["LastModified"]
        yield found
