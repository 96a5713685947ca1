"""Atomic writes, locks and digests of files."""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops.base.errors import MlopsError, UsageError

DIGEST_LENGTH = 16
"""The number of hexadecimal digits of a SHA-256 in names that depend on content."""

_LOCK_POLL = 0.01


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text` atomically.

    Raises:
        MlopsError: The disk is full or the folder cannot be written; the old content is kept.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))  # names of files need not be UTF-8


def write_bytes(path: Path, content: bytes) -> None:
    """Replace the content of `path` atomically (see `write_text`)."""
    with replacing(path) as temporary, temporary.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically: `target` is complete or absent.

    Raises:
        MlopsError: The disk is full or the folder cannot be written.
    """
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provide a temporary path beside `path` that replaces it when the `with` block succeeds, and is removed otherwise.

    Raises:
        MlopsError: The disk is full or the folder cannot be written; the old content is kept.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def below(folder: Path, name: str) -> Path:
    """Return the path of a name, with `/`, that comes from outside: that of a file, an object, a request or a user.

    Raises:
        MlopsError: It is not the name of something in the folder.
    """
    parts = name.split("/")
    if not name.strip("/") or name.startswith("/") or ".." in parts or "." in parts or "\0" in name:
        raise UsageError(f"{name!r} is not the name of anything in {folder}.", "Use a relative name without `..`.")
    return folder.joinpath(*(part for part in parts if part))


def unwritable(path: Path, error: OSError) -> MlopsError:
    """Return the error for a file that could not be written."""
    remedy = (
        "Free space on that disk and repeat the command; `run --resume` continues a run."
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "Check that the folder exists and is writable."
    )
    return MlopsError(f"Cannot write {path}: {error.strerror or error}.", remedy)


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def locked(path: Path, *, patience: float = math.inf) -> Iterator[bool]:
    """Hold an exclusive lock on `path` (created when missing) during a `with` block.

    The kernel releases the lock when its holder ends, so a killed process leaves no stale lock.

    Args:
        path: The file.
        patience: Seconds to wait for another holder.

    Yields:
        True if the lock is held; False if another process kept it for longer.
    """
    deadline = time.monotonic() + patience
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    except OSError as error:
        raise unwritable(path, error) from error
    with stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if patience == math.inf else fcntl.LOCK_NB))
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(_LOCK_POLL)
            else:
                yield True
                return


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock on `path`; needs no write access and creates no file."""
    try:
        with path.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_files(files: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256 over the sorted (name, content digest) pairs of `files`, in hexadecimal."""
    return sha256_of_digests((name, sha256_of_file(path)) for name, path in files)


def sha256_of_digests(digests: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 over sorted (name, content digest) pairs, in hexadecimal."""
    digest = hashlib.sha256()
    for name, content in sorted(digests):
        digest.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def all_files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below `folder` as (relative POSIX name, path), sorted by path."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def is_data(name: str) -> bool:
    """Return whether a file or an object of a data set is data: no part of its name begins with `.` or `_`.

    Others are what tools leave beside data: `_SUCCESS`, `.ipynb_checkpoints/visits-checkpoint.csv`. `modelkit.dataset`
    has the same rule.

    Args:
        name: Its name below the folder or the prefix of the data set; that of a folder ends with `/`.
    """
    return all(part and not part.startswith((".", "_")) for part in name.split("/"))


def data_files(source: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return the files of a data set, as sorted (name below its folder, path), and the names of those left out.

    Links to folders are followed.

    Args:
        source: The folder, or a file, which is the only one then.

    Raises:
        MlopsError: A link leads nowhere, or to a folder that contains it, a folder cannot be read, or the name of a
            data file is not UTF-8.
    """
    if not source.is_dir():
        _require_target(source)
        return ([(source.name, source)] if source.exists() else []), []
    found: list[tuple[str, Path]] = []
    left_out: list[str] = []
    for path in _linked_files(source, ()):
        name = path.relative_to(source).as_posix()
        if is_data(name):
            found.append((name, path))
        else:
            left_out.append(name)
    _require_utf_8(name for name, _ in found)
    return sorted(found), sorted(left_out)


def _require_utf_8(names: Iterable[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The name of the file {name!a} is not UTF-8, as keys in S3 are.", "Rename it.") from None


def _linked_files(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        raise UsageError(f"{folder} is a link to a folder that contains it.", "Remove the link.")
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror or error}.") from None
    for path in entries:
        if path.is_dir():
            yield from _linked_files(path, (*above, real))
        else:
            _require_target(path)
            yield path


def _require_target(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise UsageError(
            f"{path} is a link to {path.readlink()}, which does not exist.",
            "Fetch that file (`dvc pull`, `git annex get`), or remove the link.",
        )


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below `folder` like `all_files_below`, without caches and hidden files."""
    for name, path in all_files_below(folder):
        if not any(part == "__pycache__" or part.startswith(".") for part in name.split("/")):
            yield name, path
