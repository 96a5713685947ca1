"""The code of jobs in the store: what was changed or planted there is replaced before a job gets it."""

import random
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.base.files import all_files_below, sha256_of_file
from mlops.pipeline.bundle import Object
from mlops.run import code
from mlops.store.local import LocalStore

NAMES = (
    "bucket/slug/code/1234/model/schema.py",
    "bucket/slug/code/1234/model/algorithm.py",
    "bucket/slug/code/5678/driver.sh",
    "bucket/slug/no-champion/README.txt",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "objects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return tmp_path / "objects"


@pytest.fixture
def objects(source: Path) -> list[Object]:
    return [{"path": name, "sha256": sha256_of_file(source / name)} for name in NAMES]


@pytest.fixture
def store(tmp_path: Path, source: Path, objects: list[Object]) -> LocalStore:
    store = LocalStore(tmp_path / "s3")
    code.place(store, objects, source)
    return store


def content(store: LocalStore) -> dict[str, Any]:
    found = {name: path.read_bytes() for name, path in all_files_below(store.root) if not name.endswith(".lock")}
    return {name: b"" if name.endswith((".pyc", ".sealed.json")) else text for name, text in found.items()}


def test_placed_code_is_there_with_its_bytecode_and_is_not_placed_again(
    store: LocalStore, source: Path, objects: list[Object]
) -> None:
    assert {name for name in content(store) if name in NAMES} == set(NAMES)
    assert sum(name.endswith(".pyc") for name in content(store)) == 2
    before = {path: path.stat().st_mtime_ns for _, path in all_files_below(store.root)}
    code.place(store, objects, source)
    assert {path: path.stat().st_mtime_ns for _, path in all_files_below(store.root)} == before


def test_flipped_bits_are_repaired_from_the_bundle(store: LocalStore, source: Path, objects: list[Object]) -> None:
    before, generator = content(store), random.Random(0)
    files = list(before)
    for number in range(60):
        path = store.root / files[number % len(files)]
        damaged = bytearray(path.read_bytes())
        damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        code.place(store, objects, source)
        assert content(store) == before
        assert path.read_bytes() != damaged


@pytest.mark.parametrize(
    "name",
    ["code/1234/sitecustomize.py", "code/1234/model/__pycache__/x.pyc", "code/5678/a/b", "no-champion/model.tar.gz"],
)
def test_planted_files_are_removed_also_when_a_run_is_resumed(
    store: LocalStore, objects: list[Object], name: str
) -> None:
    before = content(store)
    path = store.root / "bucket/slug" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("planted")
    code.place(store, objects, store.root)
    assert content(store) == before


def test_a_run_whose_code_was_changed_is_not_resumed(store: LocalStore, objects: list[Object]) -> None:
    (store.root / NAMES[0]).write_text("other")
    with pytest.raises(MlopsError, match=r"code of the run is damaged: .*schema\.py") as refusal:
        code.place(store, objects, store.root)
    assert "new run" in refusal.value.remedy
    (store.root / NAMES[0]).unlink()
    with pytest.raises(MlopsError, match="code of the run is incomplete"):
        code.place(store, objects, store.root)
