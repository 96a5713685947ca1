"""The lineage of a model: the commit of its code and the version of its data."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import DIGEST_LENGTH, data_files, sha256_of_digests, sha256_of_file
from mlops.base.git import git, has_repository

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
    if not has_repository(root):
        return None
    status = git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".", ":(exclude)data")
    lines = status.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)" or not git(root, "ls-files", "--", "project.yaml"):
        return None
    dirty = any(not line.startswith("# ") for line in lines)
    return f"{commit}-dirty" if dirty else commit


def data_version(source: Path) -> str:
    """Return the version of a data file or folder (see `version_of_files`).

    Raises:
        MlopsError: The file or folder does not exist, or the folder contains no files.
    """
    return version_of_files(require_data(source)[0])


def require_data(source: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """Return the files of a data file or folder, and the names of those left out (see `base.files.data_files`).

    Raises:
        MlopsError: The file or folder does not exist, or the folder contains no files.
    """
    files, left_out = data_files(source)
    if not files:
        raise UsageError(
            f"No data in {source}{'.' if source.exists() else ': it does not exist.'}",
            "Put CSV or Parquet files there, or name a folder with `--data`.",
        )
    return files, left_out


def version_of_files(files: Iterable[tuple[str, Path]]) -> str:
    """Return the version of files, by name: the first 16 hexadecimal digits of a SHA-256 of names and contents."""
    return version_of({name: sha256_of_file(path) for name, path in files})


def version_of(digests: Mapping[str, str]) -> str:
    """Return the version of data on this machine, from the SHA-256 of the content of each file by its name."""
    return sha256_of_digests(digests.items())[:DIGEST_LENGTH]
