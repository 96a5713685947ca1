"""The model's folder: what training leaves in it, and how the archive that SageMaker makes of it is opened again."""

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.algorithm import MODEL_FILE
from model.job import JobError

ARCHIVE_FILE = "model.tar.gz"
"""What SageMaker packs the model's folder into."""

_PACKAGE = Path(__file__).parent


def copy_code(model_folder: Path) -> None:
    """Put this package and its request handlers beside the model, so that a server needs nothing but the archive.

    The project's server calls `code/inference.py`, those of AWS's images `code/hosting.py` (SAGEMAKER_PROGRAM); what
    they import is below `code/model`.
    """
    destination = model_folder / "code" / _PACKAGE.name
    destination.mkdir(parents=True, exist_ok=True)
    for source in sorted(_PACKAGE.glob("*.py")):
        shutil.copyfile(source, destination / source.name)
    for name in ("inference.py", "hosting.py"):
        shutil.copyfile(_PACKAGE / name, model_folder / "code" / name)


def holds_model(path: Path) -> bool:
    """Say whether a path is an archive, or a folder with an archive or a model in it."""
    return path.is_file() or (path / ARCHIVE_FILE).is_file() or (path / MODEL_FILE).is_file()


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Give the model's folder, for a path as `holds_model` takes it; an archive is unpacked for as long as it is used.

    Raises:
        JobError: There is no model, or the archive is damaged or would write outside its folder.
    """
    if not holds_model(path):
        raise JobError(f"{path}: neither {ARCHIVE_FILE} nor {MODEL_FILE} is there")
    archive = path if path.is_file() else path / ARCHIVE_FILE
    if not archive.is_file():
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise JobError(f"{archive}: the archive cannot be unpacked ({error})") from error
        yield Path(folder)
