"""The lineage of a model: the commit of its code and the version of its data."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import DIGEST_LENGTH, data_files, sha256_of_digests, sha256_of_file

SOURCE_COMMIT = "SOURCE_COMMIT"
"""The environment variable with the commit of sources without a repository, as in a build."""


def git_commit(root: Path) -> str | None:
    """Return the commit of the sources in `root`; None outside git, or if git is not installed.

    Raises:
        MlopsError: The sources are in a repository that git does not read, and `SOURCE_COMMIT` is not set.
    """
    given = os.environ.get(SOURCE_COMMIT) or None
    try:
        return _checked_out(root) or given
    except MlopsError:
        if given:
            return given
        raise


def _checked_out(root: Path) -> str | None:
    """Return the full hash of the commit in `root`, with `-dirty` when files differ from it; None outside git.

    The folder `data` is ignored, because data has a separate version. A folder inside another repository, or in one
    without commits, counts as outside git.
    """
    if shutil.which("git") is None or not _is_below_repository(root):
        return None
    status = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".", ":(exclude)data")
    lines = status.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)" or not _git(root, "ls-files", "--", "project.yaml"):
        return None
    dirty = any(not line.startswith("# ") for line in lines)
    return f"{commit}-dirty" if dirty else commit


def _is_below_repository(root: Path) -> bool:
    above = root.absolute()
    return "GIT_DIR" in os.environ or any(os.path.lexists(folder / ".git") for folder in (above, *above.parents))


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints.

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
    return result.stdout.decode(errors="replace")


def data_version(source: Path) -> str:
    """Return the version of a data file or folder: the first 16 hexadecimal digits of a SHA-256 of names and contents.

    Raises:
        MlopsError: The file or folder does not exist, or the folder contains no files.
    """
    files, _ = data_files(source)
    if not files:
        raise UsageError(
            f"No data in {source}{'.' if source.exists() else ': it does not exist.'}",
            "Put CSV or Parquet files there, or name a folder with `--data`.",
        )
    return version_of({name: sha256_of_file(path) for name, path in files})


def version_of(digests: Mapping[str, str]) -> str:
    """Return the version of data on this machine, from the SHA-256 of the content of each file by its name."""
    return sha256_of_digests(digests.items())[:DIGEST_LENGTH]
