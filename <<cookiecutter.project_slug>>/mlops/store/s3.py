"""The object store of an environment: its S3 bucket."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.base.commands import MLOPS
from mlops.base.documents import parse_document
from mlops.base.errors import MlopsError
from mlops.base.files import below, files_below, unwritable
from mlops.project.account import Account, aws_errors, if_exists
from mlops.store.objects import UNVERSIONED, ObjectVersion, all_versions, split_uri


@dataclass(frozen=True)
class S3Store:
    """S3 as the machinery uses it.

    Attributes:
        account: The account whose credentials are used.
    """

    account: Account

    def require_bucket(self) -> None:
        """Make sure that the environment's bucket exists and belongs to its account.

        Raises:
            MlopsError: It does not exist, belongs to another account, or is not accessible.
        """
        bucket = self.account.bucket
        with aws_errors(f"use the bucket {bucket}"):
            owner = self.account.data_lake or self.account.id
            found = if_exists(self.account.s3.head_bucket, Bucket=bucket, ExpectedBucketOwner=owner)
        if found is None:
            raise MlopsError(
                f"Bucket {bucket} does not exist.",
                f"Create it: {MLOPS} deploy --environment dev; or correct `bucket` in config/.",
            )

    def upload_missing(self, folder: Path) -> list[str]:
        """Upload the objects of a bundle, `<bucket>/<key>` below a folder, that are not in S3 yet.

        Keys are derived from the content of the objects, so that an existing object need not be compared.

        Returns:
            The URIs of the objects that were uploaded.
        """
        uploaded = []
        for name, path in files_below(folder):
            bucket, _, key = name.partition("/")
            if self.put_once(bucket, key, path.read_bytes()):
                uploaded.append(f"s3://{bucket}/{key}")
        return uploaded

    def put_once(self, bucket: str, key: str, content: bytes) -> bool:
        """Upload an object unless the key exists; return whether it was uploaded."""
        owner = {"ExpectedBucketOwner": self.account.id}
        with aws_errors(f"upload s3://{bucket}/{key}"):
            absent = if_exists(self.account.s3.head_object, Bucket=bucket, Key=key, **owner) is None
            if absent:
                self.account.s3.put_object(Bucket=bucket, Key=key, Body=content, **owner)
        return absent

    def exists(self, uri: str) -> bool:
        """Return whether there is an object at the URI, or any below it (see `Store.exists`)."""
        bucket, prefix = split_uri(uri)
        with aws_errors(f"list {uri}"):
            found = self.account.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        return bool(found["KeyCount"])

    def versions(self, uri: str) -> list[ObjectVersion]:
        """Return all versions of the objects whose URIs start with a URI (see `Store.versions`)."""
        with aws_errors(f"list the versions of the objects below {uri}"):
            return [version for version, _ in all_versions(self.account.s3, *split_uri(uri))]

    def copy(self, bucket: str, version: ObjectVersion, uri: str) -> None:
        """Copy a version of an object to a URI (see `Store.copy`); in parts if it has more than 8 MB."""
        target, key = split_uri(uri)
        id_ = UNVERSIONED if version.is_etag else version.version
        with aws_errors(f"copy s3://{bucket}/{version.key}, version {id_}, to {uri}"):
            self.account.s3.copy({"Bucket": bucket, "Key": version.key, "VersionId": id_}, target, key)

    def read_json(self, uri: str, shape: Any = Any) -> Any:
        """Read the JSON document at a URI (see `Store.read_json`)."""
        bucket, key = split_uri(uri)
        with aws_errors(f"read {uri}"):
            text = self.account.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return parse_document(text, shape, f"The object {uri} is damaged", "Restore an earlier version of it.")

    def download(self, uri: str, folder: Path) -> Path:
        """Copy the object at a URI into a folder (see `Store.download`)."""
        bucket, key = split_uri(uri)
        target = below(folder, key.rpartition("/")[2])
        partial = target.with_name(f".{target.name}.part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with aws_errors(f"download {uri}"):
                self.account.s3.download_file(bucket, key, str(partial))
            return partial.replace(target)
        except OSError as error:
            raise unwritable(target, error) from error
        finally:
            partial.unlink(missing_ok=True)
