"""The source files of a project that may leave this machine, and those that may not."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlops.base.errors import UsageError
from mlops.base.files import files_below
from mlops.base.git import listed
from mlops.base.terminal import clean

_KEY_SUFFIXES = (".env", ".jks", ".key", ".keystore", ".p12", ".pem", ".pfx", ".ppk")
_KEY_NAMES = frozenset({"credentials", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"})
_SECRETS = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    # AWS's documentation has keys that end in EXAMPLE.
    "an AWS access key": re.compile(rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)(?![A-Z0-9]{9}EXAMPLE)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    "an AWS secret key": re.compile(
        rb"(?i:aws_secret_access_key|aws_session_token)['\"]?\s*[=:]\s*['\"]?[A-Za-z0-9/+=]{40}"
    ),
}
_SHOWN = 10


@dataclass(frozen=True)
class Sources:
    """The files in some folders of a project, without caches and hidden ones.

    Attributes:
        files: Name below the project's folder and path of each file that git does not ignore; outside git, of each.
        untracked: The names of those that git does not track.
        ignored: The names of the files that git ignores.
    """

    files: list[tuple[str, Path]]
    untracked: list[str]
    ignored: list[str]


def find(root: Path, folders: Sequence[str] = ("",)) -> Sources:
    """Return the files in folders of a project.

    Args:
        root: The project's folder.
        folders: The folders below it, or files.

    Raises:
        MlopsError: The name of a file cannot be packed.
    """
    known = listed(root)
    found = [entry for folder in folders for entry in _below(root, folder)]
    files = found if known is None else [(name, path) for name, path in found if name in known]
    if unusable := [name for name, _ in files if clean(name) != name]:
        raise UsageError(
            f"Names that are not UTF-8, or have control characters: {shortened(unusable)}.",
            "Rename these files, or have git ignore them.",
        )
    names = {name for name, _ in files}
    untracked = [name for name, _ in files if known is not None and not known[name]]
    return Sources(files, untracked, [name for name, _ in found if name not in names])


def _below(root: Path, folder: str) -> Iterable[tuple[str, Path]]:
    path = root / folder
    if path.is_file():
        return [(folder, path)]
    return [(f"{folder}/{name}" if folder else name, file) for name, file in files_below(path)]


def require_public(contents: Iterable[tuple[str, bytes]]) -> None:
    """Refuse files that must not leave this machine.

    Args:
        contents: The name and the content of each file.

    Raises:
        MlopsError: A file has a key or credentials in it, or the name of a file that has.
    """
    found = [f"{name} {reason}" for name, content in contents if (reason := _secret(name, content))]
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(
            f"Keys and credentials are not packed: {'; '.join(found[:_SHOWN])}{more}.",
            "Move them out of the project, for example to AWS Secrets Manager, or have git ignore them; replace a key "
            "that was ever committed. Give a public certificate the suffix .crt.",
        )


def _secret(name: str, content: bytes) -> str:
    """Return why a file is not packed; empty if it is."""
    path = PurePosixPath(name.lower())
    if path.suffix in _KEY_SUFFIXES or path.name in _KEY_NAMES or path.name.startswith(".env"):
        return "is named like a file of keys"
    return next((f"contains {what}" for what, pattern in _SECRETS.items() if pattern.search(content)), "")


def shortened(names: Sequence[str]) -> str:
    """Return names for a message."""
    shown = ", ".join(map(clean, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
