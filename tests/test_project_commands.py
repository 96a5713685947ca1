"""The rendered project's own commands, from environments that its own `make setup` makes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

from conftest import ROOT
from test_render import QUESTIONS

pytestmark = pytest.mark.slow

FRAMEWORKS = QUESTIONS["framework"]

UNSHARE = ["unshare", "--map-root-user", "--net"]
# In a new network namespace loopback is down: raise it (SIOCSIFFLAGS, IFF_UP), then become the command.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="module", params=FRAMEWORKS)
def ready(request: pytest.FixtureRequest, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of each framework, in a folder with a blank in its name, set up and committed."""
    folder = tmp_path_factory.mktemp("my projects")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        answers = {"framework": request.param, "project_slug": "own-commands", "aws_region": "us-east-1"}
        project = Path(cookiecutter(str(template), no_input=True, extra_context=answers, output_dir=str(folder)))
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "."],
        ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "Generate"],
    ):
        subprocess.run(command, cwd=project, check=True)
    make(project, "setup", online=True)
    return project


def make(project: Path, target: str, *, online: bool = False) -> str:
    """Run a target; with no network but loopback where the kernel lets us take it away."""
    isolated = [] if online or not can_unshare() else [*UNSHARE, sys.executable, "-c", LOOPBACK_UP]
    hidden = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "RUFF_CACHE_DIR", "MYPY_CACHE_DIR", "MAKEFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    result = subprocess.run(
        [*isolated, "make", target], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_demonstration_ends_with_predictions_and_a_report(template: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(template, tmp_path / "template"))
    (copy / ".tools").symlink_to(ROOT / ".tools", target_is_directory=True)
    output = make(copy, "demo", online=True)
    assert "Version 1 of doctor-visits is registered." in output
    assert "Version 1 is Approved." in output
    (end,) = (line for line in output.splitlines() if line.startswith("== The project is yours: "))
    report = copy / end.rsplit(" ", 1)[-1]
    assert report.name == "report.html"
    assert "ROC curve" in report.read_text()


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False)
    return trial.returncode == 0


def test_what_follows_runs_without_a_network() -> None:
    if not can_unshare():
        pytest.skip("this kernel lets us make no network namespace: what follows had a network")
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    command = [*UNSHARE, sys.executable, "-c", LOOPBACK_UP, sys.executable, "-S", "-c", code]
    result = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert "Network is unreachable" in result.stderr


def test_lint_finds_nothing(ready: Path) -> None:
    make(ready, "lint")


def test_its_own_tests_pass(ready: Path) -> None:
    assert " passed" in make(ready, "test")


def test_the_pipeline_runs_and_registers_a_version_with_its_commit(ready: Path) -> None:
    output = make(ready, "run")
    assert "Version 1 of own-commands is registered." in output
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ready, capture_output=True, text=True, check=True
    ).stdout.strip()
    models = subprocess.run(
        [ready / ".venv/bin/python", "-m", "mlops", "models", "1"],
        cwd=ready,
        capture_output=True,
        text=True,
        check=True,
    )
    assert commit in models.stdout
    assert f"{commit}-dirty" not in models.stdout


def test_nothing_it_makes_is_left_untracked(ready: Path) -> None:
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ready, capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_formatting_changes_nothing(ready: Path) -> None:
    make(ready, "format")
    difference = subprocess.run(["git", "diff", "--stat"], cwd=ready, capture_output=True, text=True, check=True)
    assert difference.stdout == ""


def test_a_commit_is_checked_by_the_tools_of_lint(ready: Path) -> None:
    make_commit_hook = [str(ready / ".venv-dev/bin/pre-commit"), "run", "--all-files"]
    result = subprocess.run(make_commit_hook, cwd=ready, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("Passed") == 3


def test_the_runtime_environment_holds_no_development_package(ready: Path) -> None:
    code = (
        "import importlib.util as u; print([n for n in ('sagemaker', 'pandas', 'sklearn', 'moto') if u.find_spec(n)])"
    )
    result = subprocess.run([ready / ".venv/bin/python", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
