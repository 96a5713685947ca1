import subprocess
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.project.lineage import data_version, git_commit


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "project.yaml").write_text("a: 1\n")
    (tmp_path / ".gitignore").write_text("ignored\n")
    return tmp_path


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None


def test_before_the_first_commit_there_is_no_commit(repository: Path) -> None:
    assert git_commit(repository) is None


def test_the_commit_is_the_one_checked_out(repository: Path) -> None:
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    (repository / "ignored").touch()
    assert git_commit(repository) == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["project.yaml", "new.py"])
def test_changed_and_new_files_make_it_dirty(repository: Path, name: str) -> None:
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    (repository / name).write_text("b: 2\n")
    assert git_commit(repository) == git(repository, "rev-parse", "HEAD") + "-dirty"


def test_a_folder_that_somebody_elses_repository_does_not_hold_is_outside_git(repository: Path) -> None:
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    inner = repository / "ignored"
    inner.mkdir()
    (inner / "project.yaml").touch()
    assert git_commit(inner) is None


def test_the_version_of_data_follows_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    first = data_version(tmp_path)
    assert first == data_version(tmp_path)
    assert len(first) == 16
    (tmp_path / "a.csv").write_text("2")
    assert data_version(tmp_path) != first


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_no_data_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MlopsError, match="No data in"):
        data_version(tmp_path / name)
