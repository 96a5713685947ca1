"""The code of the project's Lambda functions: the package `mlops` as one archive, named by its content."""

from pathlib import Path

from mlops.base.archives import zipped
from mlops.base.files import DIGEST_LENGTH, files_below, sha256_of_files


def archive(root: Path) -> bytes:
    """Return the package of a project as a zip archive."""
    return zipped((f"mlops/{name}", path) for name, path in files_below(root / "mlops"))


def key(root: Path, slug: str) -> str:
    """Return the key of that archive in the project's bucket."""
    return f"{slug}/functions/{sha256_of_files(files_below(root / 'mlops'))[:DIGEST_LENGTH]}.zip"
