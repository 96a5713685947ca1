"""A set-up that was interrupted, whenever and however, is made good by the same command."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.projects import Bake, of_user

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PATIENCE = 120.0
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
INTERRUPTIONS = [
    ("pyvenv.cfg", signal.SIGINT),
    ("bin/python", signal.SIGTERM),
    (f"{SITE}/pip", signal.SIGHUP),
    (f"{SITE}/pip/_vendor", signal.SIGKILL),
    ("bin/pip", signal.SIGINT),
    (f"{SITE}/uv", signal.SIGKILL),
]
"""What of an environment has just been made, and the signal that comes then."""


def interrupt(folder: Path, target: str, moment: Path, by: signal.Signals) -> None:
    """Begin a target in a process group of its own and end all of it as soon as a file is there."""
    begun = time.time_ns()
    process = subprocess.Popen(
        command(target), cwd=folder, env=of_user(), process_group=0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(by, signal.SIG_DFL) if by != signal.SIGKILL else None,  # nohup ignores one
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while not is_new(moment, begun) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    if process.poll() is None:
        os.killpg(process.pid, by)
    output, _ = process.communicate()
    assert process.returncode != 0, f"{target} was not ended by {by.name} at {moment}: {output!r}"


def is_new(path: Path, begun: int) -> bool:
    try:
        return path.lstat().st_ctime_ns > begun
    except FileNotFoundError:
        return False


def command(target: str) -> Sequence[str]:
    return ["make", target, f"PYTHON={sys.base_prefix}/bin/python3"]


def complete(folder: Path, target: str) -> None:
    result = subprocess.run(command(target), cwd=folder, env=of_user(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def works(folder: Path, *arguments: str) -> None:
    subprocess.run([folder / arguments[0], *arguments[1:]], check=True, capture_output=True)


@pytest.mark.nightly
def test_tools_that_were_half_made_are_made_anew(rendering: Bake, tmp_path: Path) -> None:
    project = Path(shutil.copytree(rendering(), tmp_path / "project"))
    for moment, by in INTERRUPTIONS:  # each on what the one before has left
        interrupt(project, "setup", project / ".tools" / moment, by)
        assert not (project / ".tools/.complete").exists()
    complete(project, ".tools/.complete")
    works(project, ".tools/bin/uv", "--version")
    works(project, ".tools/bin/pip", "--version")


def test_an_environment_that_was_half_made_is_made_anew(rendering: Bake, tmp_path: Path) -> None:
    project = Path(shutil.copytree(rendering(), tmp_path / "project"))
    interrupt(project, ".venv/.complete", project / ".venv" / SITE / "numpy", signal.SIGKILL)
    assert not (project / ".venv/.complete").exists()
    complete(project, ".venv/.complete")
    works(project, ".venv/bin/python", "-c", "import boto3, jinja2, numpy, onnxruntime, pyarrow, xgboost, yaml")


@pytest.mark.nightly
def test_the_template_s_own_tools_are_made_anew(template: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(template, tmp_path / "template"))
    interrupt(copy, "demo", copy / ".tools" / SITE / "pip", signal.SIGKILL)
    complete(copy, ".tools/.complete")
    works(copy, ".tools/bin/cookiecutter", "--version")


def clean_until(folder: Path, killed: str) -> None:
    """Run `make clean` with an `rm` that kills it.

    Args:
        folder: Where.
        killed: The `rm`, as a script: it ends its parent instead of removing what it is to be interrupted at.
    """
    with tempfile.TemporaryDirectory() as programs:
        remove = Path(programs, "rm")
        remove.write_text(f"#!/bin/sh\n{killed}\n")
        remove.chmod(0o755)
        environment = {**of_user(), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run(["make", "clean"], cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("made", [".tools", ".venv"])
def test_what_make_clean_has_left_when_it_was_interrupted_is_not_taken_for_an_environment(
    template: Path, tmp_path: Path, made: str
) -> None:
    copy = Path(shutil.copytree(template, tmp_path / "template"))
    (copy / made / "bin").mkdir(parents=True)
    (copy / made / ".complete").touch()
    clean_until(copy, 'case "$1" in -f) exec /bin/rm "$@";; *) kill -KILL $PPID;; esac')
    assert (copy / made / "bin").is_dir()
    assert not (copy / made / ".complete").exists()


def test_state_of_a_project_goes_as_a_whole_or_stays(rendering: Bake, tmp_path: Path) -> None:
    project = Path(shutil.copytree(rendering(), tmp_path / "project"))
    (project / ".mlops/runs").mkdir(parents=True)
    clean_until(project, '[ -e "$2" ] && kill -KILL $PPID; exit 0')
    assert not (project / ".mlops").exists()
    assert (project / ".mlops-removed/runs").is_dir()
    (project / ".mlops/models").mkdir(parents=True)
    subprocess.run(["make", "clean"], cwd=project, env=of_user(), capture_output=True, check=True)
    assert not list(project.glob(".mlops*"))


@pytest.mark.parametrize("of", ["template", "project"])
def test_a_python_that_is_too_old_is_told_so_before_anything_is_made(
    template: Path, rendering: Bake, tmp_path: Path, of: str
) -> None:
    folder = Path(shutil.copytree(template if of == "template" else rendering(), tmp_path / "folder"))
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.version_info = (3, 11, 1)\n$2"\n')
    python.chmod(0o755)
    result = subprocess.run(
        ["make", {"template": "demo", "project": "setup"}[of], f"PYTHON={python}"],
        cwd=folder, env=of_user(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "Python 3.11.2 or newer is needed" in result.stdout
    assert not (folder / ".tools").exists()
