"""Files that are whole or absent, and digests of what they hold."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlops.errors import MlopsError


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step: a reader sees the old content or the new, never a part.

    Raises:
        MlopsError: The disk is full or the folder cannot be written; the old content is kept.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> MlopsError:
    """The message for a file that could not be written."""
    remedy = (
        "Free some space on that disk, then continue: `.venv/bin/python -m mlops run --resume`."
        if error.errno in (errno.ENOSPC, errno.EDQUOT)
        else "Check that the folder exists and that you may write to it."
    )
    return MlopsError(f"Cannot write {path}: {error.strerror or error}.", remedy)


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as indented JSON, in one step (see `write_text`)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, what: str, remedy: str) -> Any:
    """Read a JSON file that this package wrote.

    Args:
        path: The file.
        what: What the file is, for the message ("the state of run 2026…").
        remedy: What the reader should do when it is missing or damaged.

    Raises:
        MlopsError: The file is missing, or is not JSON (torn by a crash or edited by hand).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MlopsError(f"{what} is missing: {path}.", remedy) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MlopsError(f"{what} is damaged: {path} ({error}).", remedy) from None


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on `path` (created when missing) for the length of a `with` block.

    The kernel frees the lock when its holder dies, so a killed process never leaves a stale one.

    Yields:
        True when the lock is held; False when `wait` is False and another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_files(files: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 over the sorted (name, content digest) pairs of `files`, in hexadecimal."""
    digest = hashlib.sha256()
    for name, path in sorted(files):
        digest.update(f"{name}\0{sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files below `folder` as (relative POSIX name, path), sorted; caches and hidden files are left out."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in relative.parts):
            yield relative.as_posix(), path
