"""Compares the machinery of this project with the files of its release."""

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from mlops.base.errors import UsageError
from mlops.base.files import files_below, sha256_of_file
from mlops.project.project import Project

FOLDERS = ("mlops", "modelkit")
"""The folders of the template, which an upgrade replaces."""

MANIFEST = "locks/machinery.txt"
"""The digest and name of each file, in the format of `sha256sum --check`."""

DIGEST = "machinery_sha256"
"""The key of project.yaml with the digest of the manifest."""


@dataclass(frozen=True)
class Differences:
    """The differences from the release.

    Attributes:
        changed: Files with other content.
        missing: Files that were removed.
        added: Files that are not part of the release.
    """

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.added)

    def __str__(self) -> str:
        parts = (("changed", self.changed), ("missing", self.missing), ("added", self.added))
        lines = [f"  {kind:<9}{name}" for kind, names in parts for name in names]
        return "\n".join([*lines, *(f"{what + ':':<9}{command}" for what, command in self.commands.items())])

    @property
    def commands(self) -> dict[str, str]:
        """The commands that restore the release, by what they do."""
        restored, generated = (*self.changed, *self.missing), f"$(git log -1 --format=%H -- {MANIFEST})"
        commands = {}
        if restored:
            commands["Restore"] = f"git checkout {generated} -- {shlex.join(restored)}"
        if self.added:
            commands["Remove"] = f"rm {shlex.join(self.added)}"
        return commands


def compare(project: Project) -> Differences:
    """Compare the files of the machinery with the manifest of the release.

    Raises:
        MlopsError: The manifest is missing, or is not the one that the project was generated with.
    """
    try:
        manifest = (project.root / MANIFEST).read_bytes()
    except OSError:
        manifest = b""
    if hashlib.sha256(manifest).hexdigest() != project.answer(DIGEST):
        raise UsageError(
            f"{MANIFEST} is missing or was changed: its digest differs from `{DIGEST}` in project.yaml.",
            "Restore both from the commit that generated or upgraded the project.",
        )
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in manifest.decode().splitlines())}
    found = dict(_files(project.root))
    return Differences(
        changed=tuple(name for name in wanted if name in found and sha256_of_file(found[name]) != wanted[name]),
        missing=tuple(name for name in wanted if name not in found),
        added=tuple(name for name in found if name not in wanted),
    )


def _files(root: Path) -> list[tuple[str, Path]]:
    return [(f"{folder}/{name}", path) for folder in FOLDERS for name, path in files_below(root / folder)]
