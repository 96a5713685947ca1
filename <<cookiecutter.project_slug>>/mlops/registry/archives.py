"""The archives of registered versions, unpacked once and loaded with the code in them."""

import contextlib
import os
import subprocess
import tempfile
from compileall import compile_dir
from pathlib import Path
from py_compile import PycInvalidationMode

from mlops.base.errors import MlopsError
from mlops.base.files import DIGEST_LENGTH, locked, sha256_of_file, unwritable
from mlops.base.handlers import Handlers, load_unpacked
from mlops.base.sealed import Seal, is_intact
from mlops.base.twin_file import TWIN_FILES
from mlops.registry.port import Registry
from mlops.registry.versions import TRAIN_AGAIN, ModelVersion
from modelkit.archives import CODE_FOLDER, ArchiveError, unpack
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
    """Unpack the archive of a version below `folder`, unless it is there unchanged, and return its folder.

    Its modules are compiled once, and loading it writes no files, so that it keeps those that its seal lists.

    Raises:
        MlopsError: The archive is missing or damaged, or the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-"))
        except OSError as error:
            raise unwritable(folder, error) from error
        archive = source.download_model(version, Path(temporary))
        digest = sha256_of_file(archive)
        destination = folder / digest[:DIGEST_LENGTH]
        with locked(folder / ".lock"):
            if is_intact(destination, digest, TWIN_FILES):
                return destination
            partial = Path(temporary) / "model"
            try:
                unpack(archive, partial)
                compile_dir(partial / CODE_FOLDER, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
                Seal.of(partial, digest).write(destination)
                if os.path.lexists(destination):
                    destination.rename(Path(temporary) / "damaged")
                partial.rename(destination)
            except ArchiveError as error:
                raise MlopsError(f"Version {version.version}: {error}.", TRAIN_AGAIN) from None
            except OSError as error:
                raise unwritable(partial, error) from error
        return destination


def schema(folder: Path, python: Path) -> bytes:
    """Return the schema of an unpacked archive, as its schema file has it; without one, from the code of the archive.

    Args:
        folder: The unpacked archive.
        python: The interpreter of the project's runtime environment.

    Raises:
        MlopsError: The archive's code does not load.
    """
    path = folder / SCHEMA_FILE
    if path.is_file():
        return path.read_bytes()
    command = [str(python), "-c", _SCHEMA_OF_0_4_0, str(folder / CODE_FOLDER)]
    made = subprocess.run(command, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, check=False)
    if made.returncode:
        reason = "".join(made.stderr.decode(errors="replace").strip().splitlines()[-1:])
        raise MlopsError(f"The schema of the model in {folder} cannot be read: {reason}")
    return made.stdout
