"""What uses the state of a project, which `make clean` therefore keeps."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mlops.base.files import locked
from mlops.cli.in_use import uses
from tests.projects import mlops, of_user


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        ("endpoint/local/lock", "serve --stop"),
        ("endpoint/dev/lock", "serve --stop --environment dev"),
        ("runs/0mwzgg8fp3x2/.lock", "interrupt it with Ctrl-C."),
        ("monitoring/0mwzgg8fp3x2/.lock", "interrupt it with Ctrl-C."),
        (".retraining.executing", "interrupt it with Ctrl-C."),
    ],
)
def test_what_holds_a_lock_uses_the_state_and_is_named_with_what_ends_it(
    tmp_path: Path, lock: str, message: str
) -> None:
    with locked(tmp_path / lock):
        (found,) = uses(tmp_path)
        assert found.endswith(message)
    assert list(uses(tmp_path)) == []


@pytest.mark.slow
def test_make_clean_under_a_server_is_refused_with_the_command_that_stops_it(after_run: Path) -> None:
    mlops(after_run, "approve", "1")
    mlops(after_run, "serve", "--detach", "--port", "0")
    try:
        refused = make_clean(after_run)
        assert refused.returncode != 0
        assert "mlops serve --stop" in refused.stderr
        assert len(mlops(after_run, "invoke", "data/request.csv").stdout.splitlines()) == 3
    finally:
        mlops(after_run, "serve", "--stop")
    assert make_clean(after_run).returncode == 0
    assert not (after_run / ".mlops").exists()


def test_make_clean_of_a_project_without_its_environments_deletes_the_state(
    compiled_project: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / ".mlops/runs").mkdir(parents=True)
    shutil.copy(compiled_project / "Makefile", project)
    assert make_clean(project).returncode == 0
    assert not (project / ".mlops").exists()


def make_clean(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "clean"], cwd=project, env=of_user(), capture_output=True, text=True, check=False)
