"""The rendered project's own commands, in environments that its own `make setup` has made (see `environments`)."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.environments import give
from tests.isolation import can_isolate, isolated
from tests.projects import ROOT, Bake, of_user

pytestmark = pytest.mark.slow

PROJECTS = [
    pytest.param(dict(zip(("framework", "inference", "monitoring"), answers, strict=True)), id="-".join(answers),
                 marks=pytest.mark.xdist_group(answers[0]))
    for answers in (("xgboost", "realtime", "on"), ("sklearn", "batch", "on"), ("pytorch", "realtime", "off"))
]  # fmt: skip
"""Each framework, and each other answer."""


@pytest.fixture(scope="module", params=PROJECTS)
def ready(request: pytest.FixtureRequest, rendering: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, in a folder with a blank in its name, with environments that `make setup` has made, and committed."""
    project = rendering(**request.param, project_slug="own-commands", aws_region="us-east-1")
    copy = Path(shutil.copytree(project, tmp_path_factory.mktemp("my projects") / project.name))
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "."],
        ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "--quiet", "-m", "Generate"],
    ):
        subprocess.run(command, cwd=copy, check=True)
    return give(copy, request.param["framework"], warm=False)


def make(project: Path, target: str) -> str:
    """Run a target; with no network but loopback where the kernel lets us take it away."""
    result = subprocess.run(
        isolated("make", target), cwd=project, env=of_user(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_the_demonstration_goes_round_the_whole_loop_and_ends_with_reports(template: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(template, tmp_path / "template"))
    (copy / ".tools").symlink_to(ROOT / ".tools", target_is_directory=True)
    make(copy, "demo/.complete")
    project = give(copy / "demo/doctor-visits", warm=False)
    # What a demonstration has left that was killed while it sent traffic.
    (project / ".mlops/runs/half").mkdir(parents=True)
    (project / "data/raw/later.csv").write_text("half")
    output = make(copy, "demo")
    at = 0
    for said in (
        "Starting over: an earlier demonstration was interrupted.",
        "Version 1 of doctor-visits is registered.",
        "Version 1 is Approved.",
        "Version 1 answered 2,000 of 2,000 requests",
        "no drift: 0 of 17 features",
        "Version 1 answered 4,000 of 4,000 requests",
        "DRIFT: ",
        "Version 2 of doctor-visits is registered.",
        "Version 2 is Approved.",
        "Version 2 is no longer served.",
        "== The project is yours: demo/doctor-visits.",
    ):
        assert said in output[at:], said
        at = output.index(said, at)
    assert "version 2 at http://127.0.0.1:" in output
    reports = [Path(line) for line in output[at:].splitlines() if line.endswith("/report.html")]
    for folder, shown in (("s3", "Kolmogorov-Smirnov"), ("runs", "ROC curve")):
        assert [shown in path.read_text() for path in reports if f"/.mlops/{folder}/" in str(path)] == [True, True]


def test_what_follows_runs_without_a_network() -> None:
    if not can_isolate():
        pytest.skip("this kernel lets us make no network namespace: what follows had a network")
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    command = isolated(sys.executable, "-S", "-c", code)
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


def test_the_runtime_environment_holds_no_development_package_and_one_framework(ready: Path) -> None:
    names = ("sagemaker", "pandas", "moto", "xgboost", "sklearn", "torch")
    code = f"import importlib.util as u; print(*[n for n in {names} if u.find_spec(n)])"
    result = subprocess.run([ready / ".venv/bin/python", "-c", code], capture_output=True, text=True, check=True)
    framework = yaml.safe_load((ready / "project.yaml").read_text())["framework"]
    assert result.stdout.split() == [{"pytorch": "torch"}.get(framework, framework)]
