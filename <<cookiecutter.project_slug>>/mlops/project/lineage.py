"""The lineage of a model: the commit of its code and the version of its data."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from mlops.base.errors import UsageError
from mlops.base.files import DIGEST_LENGTH, data_files, sha256_of_digests, sha256_of_file

SOURCE_COMMIT = "SOURCE_COMMIT"
"""The environment variable with the commit of sources without a repository, as in a build."""


def git_commit(root: Path) -> str | None:
    """Return the commit of the sources in `root`; None if it is unknown."""
    return _checked_out(root) or os.environ.get(SOURCE_COMMIT) or None


def _checked_out(root: Path) -> str | None:
    """Return the full hash of the commit in `root`, with `-dirty` when files differ from it; None outside git.

    The folder `data` is ignored, because data has a separate version. A folder inside another repository, or in one
    without commits, counts as outside git.
    """
    if shutil.which("git") is None:
        return None
    status = _git(root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".", ":(exclude)data")
    if status is None:
        return None
    lines = status.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if commit == "(initial)" or _git(root, "ls-files", "--error-unmatch", "project.yaml") is None:
        return None
    dirty = any(not line.startswith("# ") for line in lines)
    return f"{commit}-dirty" if dirty else commit


def _git(root: Path, *arguments: str) -> str | None:
    result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


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
