"""The machinery: one for all answers, recorded when a project is generated, and checked by `--version`."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mlops.cli.main import main
from tests.answers import COVERING, QUESTIONS, each_set_of_answers
from tests.projects import Bake

FOLDERS: list[str] = QUESTIONS["_machinery"]


def sums(project: Path) -> str:
    """What `find FOLDERS -type f | sort | xargs sha256sum` prints in a project."""
    paths = [path for folder in FOLDERS for path in (project / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(project).as_posix(): path for path in paths}
    return "".join(f"{hashlib.sha256(names[name].read_bytes()).hexdigest()}  {name}\n" for name in sorted(names))


@each_set_of_answers
def test_the_machinery_is_the_same_for_all_answers_and_recorded(rendering: Bake, answers: dict[str, str]) -> None:
    project = rendering(**answers)
    assert sums(project) == sums(rendering(**COVERING[0]))
    assert (project / "locks/machinery.txt").read_text() == sums(project)
    recorded = yaml.safe_load((project / "project.yaml").read_text())["machinery_sha256"]
    assert recorded == hashlib.sha256(sums(project).encode()).hexdigest()


@pytest.fixture
def project(rendering: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the test's own, committed as it was generated, as the working folder."""
    folder = Path(shutil.copytree(rendering(), tmp_path / "project"))
    monkeypatch.chdir(folder)
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Generate"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *identity, *arguments], check=True)
    return folder


def test_an_untouched_machinery_is_that_of_the_release(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "mlops/__pycache__").mkdir()
    (project / "mlops/__pycache__/cli.pyc").write_bytes(b"a cache")
    assert main(["--version"]) == 0
    said = capsys.readouterr().out
    assert f"release {QUESTIONS['_template_version']}, machinery sha256 " in said
    assert "matches the release." in said


def test_each_byte_that_differs_is_named_with_the_command_that_restores_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed, missing, added = (project / f"mlops/{name}" for name in ("base/files.py", "cli/main.py", "a note.py"))
    changed.write_text(changed.read_text().replace("fcntl", "fcntI", 1))
    missing.unlink()
    added.touch()
    assert main(["--version"]) == 1
    said = capsys.readouterr().out
    assert "differs from the release:" in said
    assert "  changed  mlops/base/files.py\n  missing  mlops/cli/main.py\n  added    mlops/a note.py\n" in said
    commands = [line.partition(": ")[2].strip() for line in said.splitlines() if line.startswith(("Restore", "Remove"))]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(["sh", "-c", command], check=True)
    assert main(["--version"]) == 0


@pytest.mark.parametrize("change", [lambda text: text + "0  mlops/other.py\n", None])
def test_a_manifest_that_is_not_that_of_the_release_is_not_believed(
    project: Path, capsys: pytest.CaptureFixture[str], change: object
) -> None:
    manifest = project / "locks/machinery.txt"
    if callable(change):
        manifest.write_text(change(manifest.read_text()))
    else:
        manifest.unlink()
    assert main(["--version"]) == 2
    assert "locks/machinery.txt is missing or was changed" in capsys.readouterr().err
