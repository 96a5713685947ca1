"""Folders that are not changed any more, with the digests of their files beside them.

Code is executed from such a folder only after checking that it has exactly these files: a damaged or planted file,
bytecode included, is not loaded.
"""

import os
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from mlops.base.documents import read_document
from mlops.base.errors import DamagedError, MlopsError
from mlops.base.files import sha256_of_file, write_json


@dataclass(frozen=True)
class Seal:
    """What a folder contains.

    Attributes:
        source: The SHA-256 of what it was made from.
        files: The SHA-256 of each file, by its name below the folder.
    """

    source: str
    files: dict[str, str]

    @classmethod
    def of(cls, folder: Path, source: str) -> Self:
        """Return the seal of a folder as it is.

        Raises:
            OSError: A file cannot be read.
        """
        return cls(source, {name: sha256_of_file(folder / name) for name in _names(folder)})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the seal beside a folder.

        Raises:
            MlopsError: It is missing or damaged.
        """
        return read_document(seal_file(folder), cls, f"The list of the files of {folder}", f"Delete {folder}.")

    def write(self, folder: Path) -> None:
        """Write the seal beside a folder, which need not exist yet.

        Raises:
            MlopsError: It cannot be written.
        """
        write_json(seal_file(folder), asdict(self))

    def difference(self, folder: Path, besides: Set[str] = frozenset()) -> str:
        """Return the name of a file that was changed or added, or is missing; empty if there is none.

        Args:
            folder: The folder.
            besides: The names of files that may be there too.
        """
        found = {*_names(folder)} - besides
        differing = found ^ self.files.keys()
        for name in sorted(found - differing):
            try:
                if (folder / name).is_symlink() or sha256_of_file(folder / name) != self.files[name]:
                    differing.add(name)
            except OSError:
                differing.add(name)
        return min(differing, default="")


def seal_file(folder: Path) -> Path:
    """Return the file with the seal of a folder, beside it."""
    return folder.with_name(f".{folder.name}.sealed.json")


def is_intact(folder: Path, source: str, besides: Set[str] = frozenset()) -> bool:
    """Return whether a folder was made from a source, and contains what it did then.

    Args:
        folder: The folder.
        source: The SHA-256 of the source.
        besides: The names of files that may be there too.
    """
    try:
        seal = Seal.read(folder)
    except MlopsError:
        return False
    return folder.is_dir() and seal.source == source and not seal.difference(folder, besides)


def require_intact(folder: Path, besides: Set[str] = frozenset()) -> None:
    """Make sure that a folder contains what it did when it was sealed, if it was.

    Args:
        folder: The folder.
        besides: The names of files that may be there too.

    Raises:
        DamagedError: A file was changed or added, or is missing.
    """
    if os.path.lexists(seal_file(folder)) and (name := Seal.read(folder).difference(folder, besides)):
        raise DamagedError(
            f"{folder} is damaged: {name} was changed, added or deleted since it was unpacked.",
            "Repeat the command that uses the model, which unpacks it again; a server is started again.",
        )


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of everything below a folder that is not a folder itself; links are not followed."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()
