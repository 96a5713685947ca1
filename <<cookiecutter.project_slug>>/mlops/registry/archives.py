"""The archives of registered versions, unpacked once and loaded with the code in them."""

import contextlib
import subprocess
import tempfile
from pathlib import Path

from mlops.base.errors import MlopsError
from mlops.base.files import DIGEST_LENGTH, sha256_of_file, unwritable, write_text
from mlops.base.handlers import Handlers, load_unpacked
from mlops.registry.port import Registry
from mlops.registry.versions import TRAIN_AGAIN, ModelVersion
from modelkit.archives import ArchiveError, unpack
from modelkit.signature import SCHEMA_FILE

# Archives of release 0.4.0 hold their schema as code only.
_SCHEMA_OF_0_4_0 = """
import dataclasses, json, sys
sys.path[0] = sys.argv[1]
from model.derive import DERIVED
from model.schema import SCHEMA
print(json.dumps({**dataclasses.asdict(SCHEMA), "derived": list(DERIVED)}))
"""


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
        destination = folder / sha256_of_file(archive)[:DIGEST_LENGTH]
        if destination.is_dir():
            return destination
        partial = Path(temporary) / "model"
        try:
            unpack(archive, partial)
        except ArchiveError as error:
            raise MlopsError(f"Version {version.version}: {error}.", TRAIN_AGAIN) from None
        except OSError as error:
            raise unwritable(partial, error) from error
        with contextlib.suppress(OSError):  # another process has unpacked the same archive
            partial.rename(destination)
        return destination


def schema_file(folder: Path, python: Path) -> Path:
    """Return the schema file of an unpacked archive; without one, create it with the code of the archive.

    Args:
        folder: The unpacked archive.
        python: The interpreter of the project's runtime environment.

    Raises:
        MlopsError: The archive's code does not load.
    """
    path = folder / SCHEMA_FILE
    if not path.is_file():
        command = [str(python), "-c", _SCHEMA_OF_0_4_0, str(folder / "code")]
        made = subprocess.run(
            command, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            reason = "".join(made.stderr.strip().splitlines()[-1:])
            raise MlopsError(f"The schema of the model in {folder} cannot be read: {reason}")
        write_text(path, made.stdout)
    return path
