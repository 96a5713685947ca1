"""The state of runs: ids, and documents that were changed."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.base.errors import MlopsError
from mlops.project.project import Project
from mlops.run.state import RunFolder, last_unfinished, new_run_folder, new_run_id, runs
from tests.machinery.pipeline.definitions import definition, local_run, processing

FUTURE = "y00000000000"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A prepared run of one step."""
    made = local_run(tmp_path / ".mlops", definition(processing("First", "")))
    made.state.definition_sha256 = hashlib.sha256(b"{}").hexdigest()
    made.folder.path.mkdir(parents=True)
    made.folder.definition.write_text("{}")
    made.folder.save(made.state)
    return made.folder


def change(run: RunFolder, how: Callable[[dict[str, Any]], object]) -> None:
    path = run.path / "run.json"
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def test_a_run_is_the_newest_also_after_one_of_a_clock_that_was_ahead(tmp_path: Path, run: RunFolder) -> None:
    project = Project(tmp_path)
    run.path.rename(run.path.with_name(FUTURE))
    first = new_run_folder(project)
    assert first.path.name > FUTURE
    first.path.mkdir()
    (first.path / "run.json").write_text((run.path.with_name(FUTURE) / "run.json").read_text())
    second = new_run_folder(project)
    assert second.path.name > first.path.name
    assert runs(project)[0].path == first.path
    assert last_unfinished(project).path == first.path


@pytest.mark.parametrize("name", ["zzzzzzzzzzzz", "removed", ".hidden", "0mwzgg8fp3x2-copy", "X00000000000"])
def test_other_names_do_not_count(tmp_path: Path, name: str) -> None:
    (tmp_path / ".mlops/runs" / name).mkdir(parents=True)
    made = new_run_folder(Project(tmp_path)).path.name
    assert len(made) == 12
    assert made < FUTURE


def test_ids_are_twelve_letters_and_digits() -> None:
    assert all(len(each) == 12 and each.isalnum() for each in (new_run_id(), new_run_id(FUTURE)))


@pytest.mark.parametrize(
    "how",
    [
        lambda content: content.pop("id"),
        lambda content: content.update(more=1),
        lambda content: content.update(status="Foo"),
        lambda content: content.update(started=None),
        lambda content: content.update(parameters={"a": []}),
        lambda content: content.update(steps=[]),
        lambda content: content["steps"]["First"].update(status="Foo"),
        lambda content: content["steps"]["First"].update(seconds="1"),
        lambda content: content["steps"]["First"].update(folder="../../x"),
        lambda content: content["steps"]["First"].update(figures=[1]),
        lambda content: content["steps"]["First"].update(properties={"ModelArtifacts": "s3://"}),
        lambda content: content["steps"]["First"].update(properties={"ProcessingOutputConfig": {"Outputs": {"a": {}}}}),
    ],
)
def test_a_wrong_member_is_damage(run: RunFolder, how: Callable[[dict[str, Any]], object]) -> None:
    assert run.load().status == "Interrupted"
    change(run, how)
    with pytest.raises(MlopsError, match=rf"The state of run {run.path.name} is damaged: .*run\.json") as refusal:
        run.load()
    assert f"rm -r {run.path}" in refusal.value.remedy


def test_a_definition_that_was_changed_is_damage(run: RunFolder) -> None:
    state = run.load()
    assert run.read_definition(state) == "{}"
    run.definition.write_text("[]")
    with pytest.raises(MlopsError, match="has another SHA-256") as refusal:
        run.read_definition(state)
    assert f"rm -r {run.path}" in refusal.value.remedy
