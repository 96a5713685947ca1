"""The tag of the object versions that lifecycle rules expire. A Lambda function imports this module."""

from typing import Any

from botocore.exceptions import ClientError

from mlops.store.history import Stored

KEY = "mlops:expire"
_TAG = {"Key": KEY, "Value": "true"}
"""The tag, as in the lifecycle rules of infra/data.yaml and infra/registry.yaml."""

TAGGED, UNTAGGED, UNCHANGED, FULL = "tagged", "untagged", "unchanged", "full"
_MOST_TAGS = 10
_GONE = ("NoSuchKey", "NoSuchVersion")


def mark(s3: Any, bucket: str, stored: Stored, expires: bool) -> str:
    """Tag a version of an object so that it expires, or remove that tag; keep its other tags.

    Args:
        s3: A boto3 client.
        bucket: The bucket.
        stored: The version.
        expires: Whether it has the tag in the end.

    Returns:
        TAGGED, UNTAGGED, UNCHANGED, or FULL: it has as many other tags as S3 allows.

    Raises:
        ClientError: Its tags cannot be read or written.
    """
    version = {"Bucket": bucket, "Key": stored.object.key, "VersionId": stored.id}
    try:
        tags = s3.get_object_tagging(**version)["TagSet"]
        others = [tag for tag in tags if tag["Key"] != KEY]
        wanted = [*others, _TAG] if expires else others
        if len(wanted) == len(tags) and all(tag in tags for tag in wanted):
            return UNCHANGED
        if len(wanted) > _MOST_TAGS:
            return FULL
        if wanted:
            s3.put_object_tagging(**version, Tagging={"TagSet": wanted})
        else:
            s3.delete_object_tagging(**version)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:  # deleted since it was listed
            return UNCHANGED
        raise
    return TAGGED if expires else UNTAGGED
