"""Projects rendered by tests, and their verbs."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cookiecutter.main import cookiecutter

from standin.calls import HOOK

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "<<cookiecutter.project_slug>>"
SLUG = "doctor-visits"

Bake = Callable[..., Path]


def rendered(template: Path, folder: Path, **answers: Any) -> Path:
    """Render a project below a folder and return the project's folder."""
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", home)  # cookiecutter keeps the last answers there
        return Path(cookiecutter(str(template), no_input=True, extra_context=answers, output_dir=str(folder)))


def give_environments(project: Path) -> Path:
    """Let the environment that runs these tests be both of a project's."""
    for name in (".venv", ".venv-dev"):
        (project / name).symlink_to(sys.prefix, target_is_directory=True)
    return project


def mlops(project: Path, *arguments: str, check: bool = True, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a verb in a project as its user would."""
    command = [str(project / ".venv/bin/python"), "-m", "mlops", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(HOOK)}
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, **settings
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def mlops_json(project: Path, *arguments: str, check: bool = True) -> Any:
    """Run a verb that prints JSON and return what it printed."""
    return json.loads(mlops(project, *arguments, "--json", check=check).stdout)
