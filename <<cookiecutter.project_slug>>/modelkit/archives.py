"""Reading of model archives, which SageMaker packs from a model's folder."""

import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from modelkit import limits
from modelkit.job import JobError

ARCHIVE_FILE = "model.tar.gz"
"""The archive that SageMaker packs the model's folder into."""

CODE_FOLDER = "code"
"""The folder of a model's code in its archive."""

_CHUNK = 1 << 20
_EXTENDED_HEADERS = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
)

_DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError, RecursionError)

Visit = Callable[[tarfile.TarInfo, IO[bytes] | None], bool]
"""Takes a member of an archive, and the content of a file; returns whether the rest of the archive is wanted."""


class ArchiveError(JobError):
    """An archive that is damaged, unpacks to too much, or would write outside its folder."""


def holds_model(path: Path) -> bool:
    """Return whether a path is an archive, or a folder with an archive or an unpacked model in it."""
    return path.is_file() or (path / ARCHIVE_FILE).is_file() or (path / CODE_FOLDER).is_dir()


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield the model's folder for a path that `holds_model` accepts; an archive is unpacked to a temporary folder.

    Raises:
        JobError: There is no model, or the archive cannot be unpacked (see `unpack`).
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
        ArchiveError: See `visit_members`; nothing is unpacked then.
        OSError: The archive cannot be read, or the folder cannot be written.
    """

    def extract(member: tarfile.TarInfo, content: IO[bytes] | None) -> bool:
        path = folder / member.name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as target:
                shutil.copyfileobj(content, target, _CHUNK)
        return True

    # Twice, because gzip's checksum is at the end: nothing is written before it is verified.
    for visit in (lambda *_: True, extract):
        with archive.open("rb") as packed:
            visit_members(packed, archive.stat().st_size, archive.name, visit)


def visit_members(packed: Any, size: int, name: str, visit: Visit) -> None:
    """Call a function for each member of an archive.

    Args:
        packed: The archive, a stream of bytes that need not be seekable.
        size: Its size in bytes.
        name: Its name, for messages.
        visit: The function.

    Raises:
        ArchiveError: The file is not an archive, is damaged, unpacks to more than `modelkit.limits` allows, or has a
            member that is a link, a device or outside the folder.
    """
    budget = limits.of_archive(size)
    try:
        with gzip.GzipFile(fileobj=packed) as unzipped:
            stream: Any = _Counted(unzipped, budget)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK, tarinfo=_Member) as tar:
                for count, member in enumerate(tar, start=1):
                    _require_sound(member, count, budget)
                    if not visit(member, tar.extractfile(member)):
                        return
            while stream.read(_CHUNK):
                pass  # to the checksum
    except limits.LimitError as error:
        raise ArchiveError(f"the model archive {name} of {size:,} bytes is refused: {error}") from None
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        gzip.BadGzipFile,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ArchiveError(f"the model archive {name} is damaged: {error}") from None


class _Counted:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, stream: gzip.GzipFile, budget: limits.Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._budget.spend(len(content))
        return content


class _Member(tarfile.TarInfo):
    """A member whose extended headers, which are read at once, are limited."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        """Parse a header.

        Raises:
            LimitError: It announces an extended header that is too large.
        """
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENDED_HEADERS and member.size > limits.ARCHIVE_HEADER_BYTES:
            raise limits.LimitError(
                f"an extended header has more than {limits.ARCHIVE_HEADER_BYTES:,} bytes; do not use the archive"
            )
        return member


def _require_sound(member: tarfile.TarInfo, count: int, budget: limits.Budget) -> None:
    if count > limits.ARCHIVE_MEMBERS:
        raise limits.LimitError(
            f"it has more than {limits.ARCHIVE_MEMBERS:,} files and folders; put data that the model needs in one file"
        )
    if member.issparse() or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
    if not is_below(member.name):
        raise tarfile.TarError(f"{member.name} is outside the folder")
    budget.require(member.size)  # tarfile reads to the announced end


def is_below(name: str) -> bool:
    """Return whether a relative name, with `/`, is that of a path in the folder that it is appended to."""
    path = PurePosixPath(name)
    return "\0" not in name and not path.is_absolute() and ".." not in path.parts
