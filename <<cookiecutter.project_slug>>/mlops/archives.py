"""Model archives: gzipped tars whose bytes depend on names and contents only."""

import gzip
import tarfile
from pathlib import Path

from mlops.errors import MlopsError
from mlops.files import unwritable


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


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder, and nothing outside it.

    Raises:
        MlopsError: It is no archive, damaged, or would write outside the folder; or the folder cannot be written.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise MlopsError(f"The model archive {archive.name} is damaged: {error}.") from None
    except OSError as error:
        raise unwritable(folder, error) from error
