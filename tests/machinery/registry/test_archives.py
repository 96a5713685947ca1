"""Unpacked archives: a file that was changed or planted is neither loaded nor executed."""

import marshal
import random
import shutil
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

import pytest

from mlops.base.archives import pack
from mlops.base.errors import MlopsError
from mlops.base.sealed import seal_file
from mlops.registry.archives import load, unpacked
from mlops.registry.local import LocalRegistry
from mlops.registry.versions import APPROVED
from mlops.serving import engine
from mlops.serving.twin import make
from mlops.store.local import LocalStore
from tests.machinery.registry.test_local_registry import ARN
from tests.machinery.serving.served import archive

FLIPS = 60
EVIL = "import pathlib; pathlib.Path({marker!r}).touch()\n"


@pytest.fixture
def registry(tmp_path: Path) -> LocalRegistry:
    """A registry with a version that multiplies by 2."""
    store = LocalStore(tmp_path / "s3")
    uri = "s3://bucket/model.tar.gz"
    store.path(uri).parent.mkdir(parents=True)
    pack(archive(tmp_path / "model"), store.path(uri))
    registry = LocalRegistry(tmp_path / "registry", store)
    specification = {"Containers": [{"ModelDataUrl": uri}]}
    registry.register({"InferenceSpecification": specification, "ModelApprovalStatus": APPROVED}, ARN, "run")
    return registry


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def unpack(registry: LocalRegistry, models: Path) -> Path:
    (version,) = registry.versions()
    return unpacked(registry, version, models)


def answer(registry: LocalRegistry, models: Path) -> str:
    (version,) = registry.versions()
    return load(registry, version, models).invoke(b"21", "text/csv", "text/csv")


def flip(path: Path, generator: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def test_what_is_unpacked_stays_as_it_is_when_it_is_loaded(registry: LocalRegistry, models: Path) -> None:
    folder = unpack(registry, models)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert any(path.suffix == ".pyc" for path in before)
    assert answer(registry, models) == "42"
    assert unpack(registry, models) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_flipped_bits_never_change_an_answer(registry: LocalRegistry, models: Path) -> None:
    folder, generator = unpack(registry, models), random.Random(0)
    files = sorted(path for path in [*folder.rglob("*"), seal_file(folder)] if path.is_file())
    for number in range(FLIPS):
        flip(files[number % len(files)], generator)
        assert answer(registry, models) == "42"


def pyc(path: Path, source: Path, code: str) -> None:
    """Write bytecode of other code than that of a source, as unchecked as it can be."""
    header = MAGIC_NUMBER + (1).to_bytes(4, "little") + source_hash(source.read_bytes())
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(header + marshal.dumps(compile(code, str(source), "exec")))


def plant_bytecode(code: Path, evil: str) -> None:
    source = code / "inference.py"
    pyc(Path(cache_from_source(str(source))), source, source.read_text() + evil)


def plant_package(code: Path, evil: str) -> None:
    (code / "inference").mkdir()
    (code / "inference/__init__.py").write_text((code / "inference.py").read_text() + evil)


def plant_in_a_linked_folder(code: Path, evil: str) -> None:
    outside = code.parent.parent.parent / "outside"
    outside.mkdir()
    (outside / "__init__.py").write_text((code / "inference.py").read_text() + evil)
    (code / "inference").symlink_to(outside)


PLANTS: list[Callable[[Path, str], object]] = [
    plant_bytecode,
    plant_package,
    plant_in_a_linked_folder,
    lambda code, evil: (code / "model.py").write_text(evil),
    lambda code, evil: (code / "inference.py").write_text((code / "inference.py").read_text() + evil),
]


@pytest.mark.parametrize("plant", PLANTS)
def test_planted_code_is_not_executed(
    registry: LocalRegistry, models: Path, tmp_path: Path, plant: Callable[[Path, str], object]
) -> None:
    marker = tmp_path / "executed"
    folder = unpack(registry, models)
    plant(folder / "code", EVIL.format(marker=str(marker)))
    with pytest.raises(MlopsError, match=r"is damaged: .* was changed, added or deleted"):
        engine.load(folder)
    with pytest.raises(MlopsError, match=r"is damaged: .* was changed, added or deleted"):
        make(folder)
    assert answer(registry, models) == "42"
    assert not marker.exists()


@pytest.mark.parametrize("plant", [plant_bytecode, plant_package])
def test_the_same_code_is_executed_where_no_seal_is_checked(
    tmp_path: Path, plant: Callable[[Path, str], object]
) -> None:
    marker = tmp_path / "executed"
    folder = archive(tmp_path / "a/b/model")
    plant(folder / "code", EVIL.format(marker=str(marker)))
    engine.load(folder)
    assert marker.exists()


def test_a_missing_file_is_unpacked_again(registry: LocalRegistry, models: Path) -> None:
    folder = unpack(registry, models)
    for path in (folder / "factor", folder / "code/inference.py", seal_file(folder)):
        path.unlink()
        assert answer(registry, models) == "42"
        assert path.exists()


def test_the_folder_of_another_archive_is_not_taken(registry: LocalRegistry, models: Path, tmp_path: Path) -> None:
    folder = unpack(registry, models)
    shutil.rmtree(folder)
    archive(folder, "3")
    seal_file(folder).unlink()
    assert answer(registry, models) == "42"
