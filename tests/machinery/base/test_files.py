import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.base.errors import MlopsError
from mlops.base.files import (
    copy_file,
    files_below,
    is_locked,
    locked,
    sha256_of_files,
    write_json,
    write_text,
)


def test_a_failed_write_keeps_the_old_content_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MlopsError, match=r"Cannot write .*No space left") as refusal:
        write_text(path, "new")
    assert "Free space" in refusal.value.remedy
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MlopsError, match="Cannot write"):
        write_json(tmp_path / "file" / "state.json", {})


def test_a_lock_is_held_by_one_process_and_freed_by_its_death(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = f"import fcntl, sys; f = open({str(lock)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX)"
    code += "; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with locked(lock, patience=0) as held:
            assert not held
        assert is_locked(lock)
        holder.kill()
    with locked(lock, patience=5) as held:
        assert held
    assert not is_locked(lock)
    assert not is_locked(tmp_path / "none")


def test_the_digest_depends_on_names_and_contents_and_not_on_order(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "2")):
        (tmp_path / name).write_text(content)
    files = list(files_below(tmp_path))
    assert sha256_of_files(files) == sha256_of_files(reversed(files))
    renamed = [("c" if name == "b" else name, path) for name, path in files]
    assert sha256_of_files(files) != sha256_of_files(renamed)
    (tmp_path / "b").write_text("3")
    assert sha256_of_files(files_below(tmp_path)) != sha256_of_files(renamed)


def test_caches_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("kept.py", "__pycache__/kept.pyc", ".hidden", ".git/config", "folder/kept.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [name for name, _ in files_below(tmp_path)] == ["folder/kept.py", "kept.py"]


def test_a_copy_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    source, target = tmp_path / "source", tmp_path / "folder/target"
    source.write_text("content")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", torn)
        with pytest.raises(MlopsError, match="No space left"):
            copy_file(source, target)
    assert list(target.parent.iterdir()) == []
    copy_file(source, target)
    assert target.read_text() == "content"


def test_files_are_as_readable_as_any_other_of_the_user(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "theirs").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode
