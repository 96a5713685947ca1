"""The code of the project's functions: one archive, named after what it holds."""

from pathlib import Path

from mlops.base.archives import zipped
from mlops.base.contents import FUNCTIONS, listed
from mlops.base.files import DIGEST_LENGTH, sha256_of_files


def archive(root: Path) -> bytes:
    """The archive, a zip."""
    return zipped(listed(root, FUNCTIONS))


def key(root: Path, slug: str) -> str:
    """Where in the project's bucket that archive stands."""
    return f"{slug}/functions/{sha256_of_files(listed(root, FUNCTIONS))[:DIGEST_LENGTH]}.zip"
