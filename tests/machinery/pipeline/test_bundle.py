import errno
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.base.files import sha256_of_file, write_json
from mlops.pipeline import bundle
from mlops.pipeline.bundle import DEFINITION, MANIFEST, OBJECTS, Bundle
from mlops.project.lineage import git_commit
from mlops.project.project import Project
from mlops.project.target import Target
from tests.places import DATA_KEY, MODEL_KEY

SOURCES = ("src/model/algorithm.py", "modelkit/jobs/train.py", "pipelines/training.py",
           "mlops/compile/compiler.py", "config/base.yaml", "config/local.yaml",
           "config/images/xgboost.yaml", "project.yaml", "locks/runtime.txt")  # fmt: skip


@pytest.fixture
def sources(tmp_path: Path) -> Project:
    """A project of which nothing but the names of the files is real."""
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n", encoding="utf-8")
    (tmp_path / "project.yaml").write_text(
        "project_scope: build-train\naccount_layout: single\ntraining_image: aws\naws_region: eu-west-1\n",
        encoding="utf-8",
    )
    (tmp_path / "config/local.yaml").write_text(
        f"account: '1'\nbucket: b\npipeline_role: r\ndata_key: {DATA_KEY}\nmodel_key: {MODEL_KEY}\n", encoding="utf-8"
    )
    (tmp_path / "config/dev.yaml").write_text("account: null\nbucket:\n", encoding="utf-8")
    return Project(tmp_path)


class Compiler:
    """Stands in for the SDK: writes a bundle that depends on the sources, and counts."""

    def __init__(self) -> None:
        self.runs = 0
        self.seconds = 0.0
        self.error: Exception | None = None

    def __call__(self, target: Target, pipeline: str, output: Path) -> None:
        self.runs += 1
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        digest = bundle.inputs_digest(target)
        (output / OBJECTS / "b").mkdir(parents=True)
        (output / OBJECTS / "b" / "code.py").write_text("code")
        (output / DEFINITION).write_text(json.dumps({"Version": "2020-12-01", "Made": digest}))
        manifest = {
            "pipeline": "visits-training",
            "environment": target.environment,
            "code_digest": "",
            "packages_digest": None,
            "template_version": "",
            "python": "",
            "sagemaker": "",
            "limits": {},
            "images": [],
            "definition_sha256": sha256_of_file(output / DEFINITION),
            "inputs_digest": digest,
            "git_commit": git_commit(target.project.root),
            "image_digest": None,
            "keys": {"data_key": DATA_KEY, "model_key": MODEL_KEY},
            "objects": [{"path": "b/code.py", "sha256": sha256_of_file(output / OBJECTS / "b/code.py")}],
        }
        write_json(output / MANIFEST, manifest)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    stand_in = Compiler()
    monkeypatch.setattr(bundle, "_run_compiler", stand_in)
    return stand_in


def test_unchanged_sources_are_compiled_once(sources: Project, compiler: Compiler) -> None:
    first, second = bundle.current(Target(sources, "local")), bundle.current(Target(sources, "local"))
    assert compiler.runs == 1
    assert first.path == second.path
    assert first.pipeline_name == "visits-training"
    assert first.definition_sha256 == sha256_of_file(first.path / DEFINITION)


@pytest.mark.parametrize("name", SOURCES)
def test_a_change_of_any_source_is_compiled(sources: Project, compiler: Compiler, name: str) -> None:
    first = bundle.current(Target(sources, "local"))
    with (sources.root / name).open("a", encoding="utf-8") as stream:
        stream.write("# a change\n")
    second = bundle.current(Target(sources, "local"))
    assert compiler.runs == 2
    assert second.definition != first.definition
    assert first.is_complete()


@pytest.mark.parametrize(
    "name", ["src/model/__pycache__/train.pyc", "src/.DS_Store", "data/raw/visits.csv", "tests/a.py"]
)
def test_what_no_definition_is_made_from_is_not_a_reason_to_compile(
    sources: Project, compiler: Compiler, name: str
) -> None:
    bundle.current(Target(sources, "local"))
    (sources.root / name).parent.mkdir(parents=True, exist_ok=True)
    (sources.root / name).write_text("new")
    bundle.current(Target(sources, "local"))
    assert compiler.runs == 1


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a changed definition": lambda path: (path / DEFINITION).write_text("{}"),
    "a missing definition": lambda path: (path / DEFINITION).unlink(),
    "a torn manifest": lambda path: (path / MANIFEST).write_text('{"pipeline": "vis'),
    "a manifest without objects": lambda path: (path / MANIFEST).write_text("{}"),
    "a missing object": lambda path: (path / OBJECTS / "b/code.py").unlink(),
    "a changed object": lambda path: (path / OBJECTS / "b/code.py").write_text("other"),
    "an object too many": lambda path: (path / OBJECTS / "b/more.py").write_text("more"),
    "no folder": shutil.rmtree,
    "a torn pointer": lambda path: (path.parent / "current.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_bundle_is_made_anew_and_never_used(
    sources: Project, compiler: Compiler, damage: Callable[[Path], object]
) -> None:
    first = bundle.current(Target(sources, "local"))
    damage(first.path)
    second = bundle.current(Target(sources, "local"))
    assert compiler.runs == 2
    assert second.is_complete()
    assert Bundle(second.path).manifest["pipeline"] == "visits-training"


def test_a_failed_compilation_leaves_no_trace_and_keeps_the_earlier_bundle(
    sources: Project, compiler: Compiler
) -> None:
    first = bundle.current(Target(sources, "local"))
    (sources.root / SOURCES[0]).write_text("changed")
    compiler.error = MlopsError("pipelines/training.py, line 3: TypeError")
    with pytest.raises(MlopsError, match="line 3"):
        bundle.current(Target(sources, "local"))
    assert first.is_complete()
    assert sorted(path.name for path in first.path.parent.iterdir()) == sorted(
        [".lock", "current.json", first.path.name]
    )


def test_a_full_disk_is_said_and_leaves_no_trace(sources: Project, compiler: Compiler) -> None:
    compiler.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(MlopsError, match="No space left on device") as caught:
        bundle.current(Target(sources, "local"))
    assert "Free space" in caught.value.remedy
    assert [path.name for path in (sources.state / "bundles/local/training").iterdir()] == [".lock"]


def test_two_at_once_compile_once(sources: Project, compiler: Compiler) -> None:
    compiler.seconds = 0.2
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(bundle.current(Target(sources, "local")).path)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiler.runs == 1
    assert len(found) == 3
    assert len(set(found)) == 1


def test_an_environment_without_an_account_is_refused(sources: Project, compiler: Compiler) -> None:
    with pytest.raises(MlopsError) as caught:
        bundle.current(Target(sources, "dev"))
    assert str(caught.value.message) == "config/dev.yaml has no value for `account`."
    assert caught.value.exit_code == 2
    assert compiler.runs == 0


def test_looking_up_a_bundle_takes_no_time_that_anybody_notices(sources: Project, compiler: Compiler) -> None:
    bundle.current(Target(sources, "local"))
    started = time.perf_counter()
    for _ in range(5):
        bundle.current(Target(sources, "local"))
    assert (time.perf_counter() - started) / 5 < 0.05


def test_what_the_compiler_says_is_the_message(sources: Project) -> None:
    python = sources.root / ".venv-dev/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'pipelines/training.py, line 7: wrong' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(MlopsError) as caught:
        bundle.current(Target(sources, "local"))
    assert caught.value.message == "pipelines/training.py, line 7: wrong"
    assert caught.value.exit_code == 1
