"""What git says of a project."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from mlops.base.errors import MlopsError

_UNTRACKED = "?"


def has_repository(root: Path) -> bool:
    """Return whether git is installed and `root` is in a repository."""
    above = root.absolute()
    found = "GIT_DIR" in os.environ or any(os.path.lexists(folder / ".git") for folder in (above, *above.parents))
    return found and shutil.which("git") is not None


def git(root: Path, *arguments: str) -> str:
    """Return what a git command prints in `root`, which is in a repository.

    Raises:
        MlopsError: It fails: the repository belongs to another user, or is damaged. Message and remedy are git's.
    """
    try:
        result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except OSError as error:
        raise MlopsError(f"git cannot be started: {error}.", "Install it again: models record their commit.") from None
    if result.returncode:
        said, _, more = result.stderr.decode(errors="replace").strip().partition("\n")
        raise MlopsError(
            f"git does not read the repository of {root}, so that models could not record their commit: "
            f"{said or f'exit status {result.returncode}'}",
            more.strip() or f"Correct the repository until this succeeds: git -C {shlex.quote(str(root))} status",
        )
    return result.stdout.decode(errors="surrogateescape")


def listed(root: Path) -> dict[str, bool] | None:
    """Return the files below `root` that git does not ignore, by name: whether git tracks them; None outside git.

    A project whose `project.yaml` git ignores, as in a scratch folder of another repository, counts as outside git. One
    whose `project.yaml` is not added yet is about to be: all its files count as tracked.

    Raises:
        MlopsError: git cannot read the repository.
    """
    if not has_repository(root):
        return None
    output = git(root, "ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard")
    entries = (entry.partition(" ") for entry in output.split("\0") if entry)
    found = {name: tag != _UNTRACKED for tag, _, name in entries}
    if "project.yaml" not in found:
        return None
    return found if found["project.yaml"] else dict.fromkeys(found, True)
