"""The archives of registered versions, unpacked once and loaded with the code in them."""

import contextlib
import tempfile
from pathlib import Path

from mlops.base.archives import unpack
from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError
from mlops.base.files import sha256_of_file
from mlops.base.handlers import Handlers, load_unpacked
from mlops.registry.port import Registry
from mlops.registry.versions import ModelVersion


def load(source: Registry, version: ModelVersion, folder: Path) -> Handlers:
    """Load the model of a version with the code it was registered with.

    Args:
        source: The registry.
        version: The version.
        folder: The folder of unpacked models, named by the digest of their archives.

    Raises:
        MlopsError: The archive is missing or damaged, or its handlers do not load.
    """
    return load_unpacked(unpacked(source, version, folder), f"The model of version {version.version}")


def unpacked(source: Registry, version: ModelVersion, folder: Path) -> Path:
    """Unpack the archive of a version below `folder`, unless it is already there, and return its folder.

    Raises:
        MlopsError: The archive is missing or damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        archive = source.download_model(version, Path(temporary))
        destination = folder / sha256_of_file(archive)[:16]
        if destination.is_dir():
            return destination
        partial = Path(temporary) / "model"
        try:
            unpack(archive, partial)
        except MlopsError as error:
            raise MlopsError(
                f"Version {version.version}: {error.message}",
                f"Train again ({MLOPS} run --no-cache) and approve the new version.",
            ) from None
        with contextlib.suppress(OSError):  # another process has unpacked the same archive
            partial.rename(destination)
        return destination
