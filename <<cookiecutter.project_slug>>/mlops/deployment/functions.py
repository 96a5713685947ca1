"""The code of the project's functions: the package `mlops` as one archive, named after what it holds."""

from pathlib import Path

from mlops.base.archives import zipped
from mlops.base.files import DIGEST_LENGTH, files_below, sha256_of_files


def archive(root: Path) -> bytes:
    """The package of a project as a zip archive."""
    return zipped((f"mlops/{name}", path) for name, path in files_below(root / "mlops"))


def key(root: Path, slug: str) -> str:
    """Where in the project's bucket that archive stands."""
    return f"{slug}/functions/{sha256_of_files(files_below(root / 'mlops'))[:DIGEST_LENGTH]}.zip"
