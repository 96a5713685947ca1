"""The code of the project's Lambda functions: one archive, named by its content."""

from pathlib import Path

from mlops.base.archives import zipped
from mlops.base.contents import FUNCTIONS, listed
from mlops.base.files import DIGEST_LENGTH, sha256_of_files


def archive(root: Path) -> bytes:
    """Return the code of the functions as a zip archive."""
    return zipped(listed(root, FUNCTIONS))


def key(root: Path, slug: str) -> str:
    """Return the key of that archive in the project's bucket."""
    return f"{slug}/functions/{sha256_of_files(listed(root, FUNCTIONS))[:DIGEST_LENGTH]}.zip"
