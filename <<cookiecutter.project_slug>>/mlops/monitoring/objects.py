"""What monitoring reads from S3, in the account of an environment or with a person's rights."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from tarfile import TarInfo
from typing import IO, Any

from botocore.exceptions import ClientError

from mlops.monitoring.collect import SCHEMA
from mlops.monitoring.place import Listed
from mlops.store.objects import split_uri
from modelkit.archives import visit_members
from modelkit.limits import SCHEMA_BYTES, LimitError

LATENESS = timedelta(minutes=15)
"""AWS does not document how soon captured data are in S3; they have been seen after a few minutes."""

_GONE = ("NoSuchKey", "404")


class Objects(ABC):
    """The objects of a `Place` in S3."""

    @property
    @abstractmethod
    def s3(self) -> Any:
        """The client of S3."""

    @abstractmethod
    def write(self, uri: str, content: bytes) -> None:
        """Write an object."""

    def folders(self, uri: str) -> list[str]:
        """Return the names of the folders directly below a URI, sorted."""
        bucket, prefix = split_uri(f"{uri}/")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        return sorted(name.removeprefix(prefix).rstrip("/") for name in found)

    def objects(self, uri: str, after: str = "") -> Iterator[Listed]:
        """Yield the objects below a URI in the order of their names, beginning after the name `after`."""
        bucket, prefix = split_uri(f"{uri}/")
        start = {"StartAfter": f"{prefix}{after}"} if after else {}
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **start):
            for entry in page.get("Contents", []):
                yield Listed(entry["Key"].removeprefix(prefix), entry["LastModified"])

    def read(self, uri: str) -> bytes | None:
        """Return the content of an object; None if it does not exist."""
        bucket, key = split_uri(uri)
        try:
            content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise
        return content

    def copy(self, source: str, target: str) -> bool:
        """Copy a document of a registered version as it is in S3; return False if it does not exist."""
        content = Objects.read(self, source)
        if content is not None:
            self.write(target, content)
        return content is not None


def schema_in_archive(s3: Any, uri: str) -> bytes | None:
    """Return the schema file of an archive in S3, which is read only up to it; None if it has none."""
    bucket, key = split_uri(uri)
    response = s3.get_object(Bucket=bucket, Key=key)
    found: list[bytes] = []

    def visit(member: TarInfo, content: IO[bytes] | None) -> bool:
        if content and member.name.removeprefix("./") == SCHEMA:
            if member.size > SCHEMA_BYTES:
                raise LimitError(f"its schema has {member.size:,} bytes; at most {SCHEMA_BYTES:,} are read")
            found.append(content.read())
        return not found

    visit_members(response["Body"], response["ContentLength"], uri, visit)
    return found[0] if found else None
