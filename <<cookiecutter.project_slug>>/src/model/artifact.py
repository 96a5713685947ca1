"""The archive that SageMaker makes of a model's folder, opened again to score the model."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.base.archives import unpack
from mlops.base.errors import MlopsError
from model.algorithm import MODEL_FILE
from model.job import JobError

ARCHIVE_FILE = "model.tar.gz"
"""What SageMaker packs the model's folder into."""


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
            unpack(archive, Path(folder))
        except MlopsError as error:
            raise JobError(f"{archive}: the archive cannot be unpacked ({error.message})") from error
        yield Path(folder)
