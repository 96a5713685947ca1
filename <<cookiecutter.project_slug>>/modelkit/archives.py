"""Reading of model archives, which SageMaker packs from a model's folder."""

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from modelkit.job import JobError

ARCHIVE_FILE = "model.tar.gz"
"""The archive that SageMaker packs the model's folder into."""

CODE_FOLDER = "code"
"""The folder of a model's code in its archive."""

_CHUNK = 1 << 20


class ArchiveError(JobError):
    """An archive that is damaged, or that would write outside its folder."""


def holds_model(path: Path) -> bool:
    """Return whether a path is an archive, or a folder with an archive or an unpacked model in it."""
    return path.is_file() or (path / ARCHIVE_FILE).is_file() or (path / CODE_FOLDER).is_dir()


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield the model's folder for a path that `holds_model` accepts; an archive is unpacked to a temporary folder.

    Raises:
        JobError: There is no model, or the archive is damaged or would write outside its folder.
    """
    if not holds_model(path):
        raise JobError(f"{path}: no {ARCHIVE_FILE} and no folder '{CODE_FOLDER}'")
    archive = path if path.is_file() else path / ARCHIVE_FILE
    if not archive.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        unpack(archive, Path(folder))
        yield Path(folder)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a folder, and nothing outside it.

    Files and folders get the default permissions of the process, not those recorded in the archive. The extraction
    filters of `tarfile` are not used, because Python before 3.11.4 lacks them.

    Raises:
        ArchiveError: The file is not an archive, is damaged, or has a member that is a link, a device or outside the
            folder.
        OSError: The archive cannot be read, or the folder cannot be written.
    """
    try:
        # Read to the end first: gzip verifies the checksum only there.
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
        raise ArchiveError(f"the model archive {archive.name} is damaged: {error}") from None


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
