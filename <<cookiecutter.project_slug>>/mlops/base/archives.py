"""Archives whose bytes depend on names and contents only: models are gzipped tars, sources and functions are zips."""

import gzip
import io
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mlops.base.errors import MlopsError
from mlops.base.files import unwritable

_CHUNK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16


def pack(folder: Path, archive: Path) -> None:
    """Write what is in a folder to an archive; the same content gives the same bytes.

    Raises:
        MlopsError: The archive cannot be written.
    """
    try:
        with (
            archive.open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in sorted(folder.rglob("*")):
                if "__pycache__" not in path.parts:
                    tar.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False, filter=_anonymous)
    except OSError as error:
        raise unwritable(archive, error) from error


def zipped(files: Iterable[tuple[str, Path]]) -> bytes:
    """The zip of some files, by name: the same bytes for the same content, on every machine.

    It is not compressed, because two versions of zlib need not compress alike.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            member = zipfile.ZipInfo(name, _EPOCH)
            member.external_attr = _READABLE
            archive.writestr(member, path.read_bytes())
    return content.getvalue()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder, and nothing outside it.

    Files and folders arrive with the rights of the process, not with those that the archive names. Nothing here depends
    on the extraction filters of `tarfile`, which Pythons before 3.11.4 do not have.

    Raises:
        MlopsError: The file is not an archive, is damaged, or has a member that is a link, a device or outside the
            folder; or the folder cannot be written.
    """
    try:
        # Read to the end first: only then does gzip know whether the content is whole.
        with gzip.open(archive) as content:
            while content.read(_CHUNK):
                pass
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
                if not _is_below(member.name):
                    raise tarfile.TarError(f"{member.name} is outside the folder")
            for member in members:
                _extract(tar, member, folder / member.name)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MlopsError(f"The model archive {archive.name} is damaged: {error}.") from None
    except OSError as error:
        raise unwritable(folder, error) from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # it is a file
    with source, path.open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
