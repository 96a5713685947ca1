import shutil
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


def committed(repository: Path) -> Path:
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    return repository


def test_a_repository_of_another_user_is_refused_as_git_refuses_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(repository)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for folder in (repository, repository / "below"):
        folder.mkdir(exist_ok=True)
        with pytest.raises(MlopsError, match="dubious ownership") as refusal:
            git_commit(folder)
        assert "git config --global --add safe.directory" in refusal.value.remedy


@pytest.mark.parametrize("damage", ["HEAD", "config", "index", "refs", "objects", "link", "file"])
def test_a_repository_that_git_cannot_read_is_an_error_and_not_outside_git(repository: Path, damage: str) -> None:
    folder = committed(repository) / ".git"
    if damage in ("link", "file"):
        shutil.rmtree(folder)
        if damage == "link":
            folder.symlink_to(repository / "gone")
        else:
            folder.write_text("gitdir: /gone\n")
    elif damage in ("refs", "objects"):
        shutil.rmtree(folder / damage)
    else:
        (folder / damage).write_bytes(b"\x00[damaged")
    with pytest.raises(MlopsError, match="git does not read the repository") as refusal:
        git_commit(repository)
    assert refusal.value.remedy


def test_a_build_that_names_its_commit_does_not_need_a_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed(repository)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("SOURCE_COMMIT", "f" * 40)
    assert git_commit(repository) == "f" * 40


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed(repository)
    monkeypatch.setenv("PATH", "")
    assert git_commit(repository) is None


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
