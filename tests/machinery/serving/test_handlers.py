import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.registry.archives import load
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import APPROVED, ModelVersion
from mlops.store.local import LocalStore

URI = "s3://bucket/model.tar.gz"
VERSION = ModelVersion(1, "arn", APPROVED, datetime.now(UTC), None, "", URI, "", (), {})
HANDLERS = """
def model_fn(folder): return 2
def input_fn(body, content_type): return float(body)
def predict_fn(data, model): return data * model
def output_fn(prediction, accept): return f"{prediction}\\n"
"""


def registry(folder: Path, archive: bytes) -> LocalRegistry:
    store = LocalStore(folder / "s3")
    store.path(URI).parent.mkdir(parents=True)
    store.path(URI).write_bytes(archive)
    return LocalRegistry(folder / "registry", store)


def packed(handlers: str, name: str = "code/inference.py") -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(handlers.encode())
        tar.addfile(member, io.BytesIO(handlers.encode()))
    return archive.getvalue()


def test_a_request_goes_through_the_four_handlers_of_the_archive(tmp_path: Path) -> None:
    handlers = load(registry(tmp_path, packed(HANDLERS)), VERSION, tmp_path / "models")
    assert handlers.invoke(b"21", "text/csv", "text/csv") == "42.0\n"


def test_what_the_handlers_refuse_is_a_message(tmp_path: Path) -> None:
    handlers = load(registry(tmp_path, packed(HANDLERS)), VERSION, tmp_path / "models")
    with pytest.raises(MlopsError, match="Invalid request: could not convert") as refusal:
        handlers.invoke(b"many", "text/csv", "text/csv")
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_damaged_archive_is_said_and_leaves_nothing_unpacked(tmp_path: Path, cut: int) -> None:
    with pytest.raises(MlopsError, match=r"Version 1: the model archive .* is damaged"):
        load(registry(tmp_path, packed(HANDLERS)[:cut]), VERSION, tmp_path / "models")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".lock"]


def test_an_archive_that_writes_outside_its_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match=r"Version 1: the model archive .* is damaged"):
        load(registry(tmp_path, packed(HANDLERS, "../../evil.py")), VERSION, tmp_path / "models")
    assert not list(tmp_path.rglob("evil.py"))


@pytest.mark.parametrize("handlers", ["", "import nothing_of_this_name", "def model_fn(folder): raise OSError('gone')"])
def test_handlers_that_do_not_load_are_said_with_where_they_are(tmp_path: Path, handlers: str) -> None:
    with pytest.raises(MlopsError, match="model of version 1 does not load") as refusal:
        load(registry(tmp_path, packed(handlers)), VERSION, tmp_path / "models")
    assert "models" in refusal.value.remedy
