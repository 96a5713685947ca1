"""A name from outside never becomes a path outside its folder."""

import json
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.base.files import below
from mlops.compile.content import ContentStore
from mlops.pipeline import bundle
from mlops.project.project import Project
from mlops.project.target import Target
from mlops.registry.local import LocalRegistry
from mlops.run.sandbox import Sandbox
from mlops.run.state import EXECUTING, RunFolder, RunState, StepState, find_run
from mlops.store.local import LocalStore
from tests.machinery.deployment.small_project import small_project

OUTSIDE = ("../a", "a/../../b", "/etc/passwd", "..", ".", "a/./b", "", "/", "a\0b")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MlopsError, match="is not the name of anything in"):
        below(tmp_path, name)


@pytest.mark.parametrize("name", ["a", "a/b", "..a", "a..", "-rf", "a//b", "a/", "é\udce9", "CON"])
def test_every_other_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    assert below(tmp_path, name).resolve().is_relative_to(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "s3")
    (tmp_path / "a").write_text("a")
    for key in ("data/a", "data//etc/passwd"):
        store.upload(tmp_path / "a", f"s3://bucket/{key}")
    return store


@pytest.mark.parametrize("uri", ["s3://../a", "s3://./a", "s3://b/../../a", "s3://b/a\0", "s3://b/./a", "s3://b/a/.."])
def test_a_uri_stays_in_the_store(store: LocalStore, uri: str) -> None:
    for read in (store.path, store.read_json, store.exists, lambda uri: store.download(uri, store.root)):
        with pytest.raises(MlopsError, match="is not an S3 URI"):
            read(uri)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../a"])
def test_a_manifest_writes_nothing_beside_its_folder(store: LocalStore, tmp_path: Path, name: str) -> None:
    manifest = store.path("s3://bucket/list.manifest")
    manifest.write_text(json.dumps([{"prefix": "s3://bucket/data/"}, name]))
    with pytest.raises(MlopsError):
        store.download_manifest("s3://bucket/list.manifest", tmp_path / "job/input")
    assert not (tmp_path / "job").exists()


@pytest.mark.parametrize("path", ["/opt/ml/../../../a", "/../a", "/opt/ml/input/\0"])
def test_a_path_of_a_request_stays_in_the_folder_of_its_job(tmp_path: Path, path: str) -> None:
    with pytest.raises(MlopsError):
        Sandbox(tmp_path / "job").path(path)


@pytest.mark.parametrize("name", ["../../a.py", "../a.py"])
def test_an_upload_of_a_pipeline_stays_in_its_bundle(tmp_path: Path, name: str) -> None:
    for content in (
        ContentStore(tmp_path / "objects", "bucket", "trial"),
        ContentStore(tmp_path / "objects", "..", ""),
    ):
        with pytest.raises(MlopsError):
            content.add_at("../", {name: b""})
    assert not list(tmp_path.rglob("a.py"))


@pytest.mark.parametrize("name", ["..", "../runs", "/tmp", ".", "", "a/b", "-x", "a\0"])
def test_a_run_is_named_by_its_own_name(tmp_path: Path, name: str) -> None:
    (tmp_path / ".mlops/runs").mkdir(parents=True)
    with pytest.raises(MlopsError, match="does not exist"):
        find_run(Project(tmp_path), name)


@pytest.mark.parametrize("folder", ["../..", "/etc", "javascript:alert(1)//../..", "a\0"])
def test_the_state_of_a_run_names_folders_of_the_run(tmp_path: Path, folder: str) -> None:
    run = RunFolder(tmp_path / "a1")
    run.path.mkdir()
    step = StepState(status=EXECUTING, folder=folder)
    run.save(RunState("a1", "pipeline", "local", "", EXECUTING, "", "", {}, {"Train": step}))
    with pytest.raises(MlopsError, match="The state of run a1 is damaged"):
        run.load()


@pytest.mark.parametrize("name", ["../../outside", "/tmp", ".."])
def test_the_pointer_to_a_bundle_names_one_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "current.json").write_text(json.dumps({"folder": name}))
    assert bundle._up_to_date(tmp_path, {}) is None  # type: ignore[typeddict-item]


@pytest.mark.parametrize("environment", ["../local", "/tmp", "..", ".", "", "-x", "a/b", "a\0"])
def test_an_environment_is_a_name(tmp_path: Path, environment: str) -> None:
    with pytest.raises(MlopsError, match="There is no environment"):
        Target(Project(tmp_path), environment)


@pytest.mark.parametrize("group", ["../../s3", "/tmp/group", ".."])
def test_a_model_package_group_is_a_folder_of_the_registry(tmp_path: Path, group: str) -> None:
    with pytest.raises(MlopsError, match="is not the name of anything"):
        LocalRegistry.of(Target(small_project(tmp_path), "local"), group)


def test_only_numbers_are_versions(tmp_path: Path) -> None:
    for name in ("²", "..", "-1", "1e3", "a"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert LocalRegistry(tmp_path, LocalStore(tmp_path / "s3")).versions() == []
