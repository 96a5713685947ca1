"""Content-addressed uploads, so that a definition changes only when its content does."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mlops.base.errors import MlopsError
from mlops.base.files import DIGEST_LENGTH, below, unwritable
from mlops.base.sources import require_public


class ContentStore:
    """A folder of the objects that a definition refers to, laid out as `<bucket>/<key>`.

    Args:
        folder: The folder to write objects to.
        bucket: The bucket that they will be uploaded to.
        prefix: The prefix of their keys.
    """

    def __init__(self, folder: Path, bucket: str, prefix: str) -> None:
        self.folder = folder
        self.bucket = bucket
        self.prefix = prefix

    def add(self, files: Mapping[str, bytes]) -> str:
        """Write files under a prefix derived from their names and contents; return its URI, ending in a slash.

        Caches and hidden files are left out; gzipped tars are repacked without times and owners.
        """
        contents = {name: _normal(name, content) for name, content in sorted(files.items()) if not _left_out(name)}
        return self.add_at(f"{self.prefix}/code/{digest_of(contents)}/", contents)

    def add_at(self, prefix: str, files: Mapping[str, bytes]) -> str:
        """Write files unchanged under a prefix that ends in a slash; return its URI.

        Raises:
            MlopsError: The disk is full or the folder cannot be written, or a file has keys or credentials in it.
        """
        require_public(files.items())
        for name, content in files.items():
            path = below(self.folder, f"{self.bucket}/{prefix}{name}")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            except OSError as error:
                raise unwritable(path, error) from error
        return f"s3://{self.bucket}/{prefix}"


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return a digest over the names and contents of files, short enough to name a folder."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()[:DIGEST_LENGTH]


def _left_out(name: str) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in PurePosixPath(name).parts)


def _normal(name: str, content: bytes) -> bytes:
    if not name.endswith((".tar.gz", ".tgz")):
        return content
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as source,
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            if _left_out(member.name.removeprefix("./")):
                continue
            member.mtime = member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.pax_headers = {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o111 else 0o644
            target.addfile(member, source.extractfile(member) if member.isfile() else None)
    return packed.getvalue()


def settle(value: Any, uploaded: Mapping[tuple[str, str], bytes], store: ContentStore, staging: str) -> Any:
    """Replace the URIs of the SDK's uploads in a definition by content-addressed ones.

    Args:
        value: The definition, or a part of it.
        uploaded: The SDK's uploads by bucket and key.
        store: The store that the uploads are written to.
        staging: The key prefix of the SDK's uploads.

    Raises:
        MlopsError: The definition refers to a staging URI without an upload.
    """
    if isinstance(value, dict):
        return {key: settle(nested, uploaded, store, staging) for key, nested in value.items()}
    if isinstance(value, list):
        return [settle(nested, uploaded, store, staging) for nested in value]
    if not isinstance(value, str) or f"/{staging}/" not in value:
        return value
    bucket, _, key = value.removeprefix("s3://").partition("/")
    if (bucket, key) in uploaded:
        name = PurePosixPath(key).name
        return store.add({name: uploaded[bucket, key]}) + name
    prefix = key.rstrip("/") + "/"
    files = {name.removeprefix(prefix): content for (owner, name), content in uploaded.items()
             if owner == bucket and name.startswith(prefix)}  # fmt: skip
    if not files:
        raise MlopsError(
            f"The pipeline refers to {value}, a default of the SDK to which nothing was uploaded.",
            "Set the URI explicitly, for example an output's URI below the execution's prefix.",
        )
    return store.add(files)
