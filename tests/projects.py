"""Projects rendered by tests, and their verbs."""

import json
import os
import re
import shutil
import subprocess
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

_HIDDEN = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "RUFF_CACHE_DIR", "MYPY_CACHE_DIR", "MAKEFLAGS")


def of_user() -> dict[str, str]:
    """The environment variables of a user, without those that are set for the template's own tools."""
    return {name: value for name, value in os.environ.items() if name not in _HIDDEN}


def copy_template(folder: Path) -> Path:
    """Copy the template as a fresh clone would hold it, with what is not committed yet."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def rendered(template: Path, folder: Path, **answers: Any) -> Path:
    """Render a project below a folder and return the project's folder."""
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", home)  # cookiecutter keeps the last answers there
        return Path(cookiecutter(str(template), no_input=True, extra_context=answers, output_dir=str(folder)))


def mlops(project: Path, *arguments: str, check: bool = True, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a verb in a project as its user would."""
    command = [str(project / ".venv/bin/python"), "-m", "mlops", *arguments]
    environment = {**of_user(), "PYTHONPATH": str(HOOK)}
    result = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, **settings
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def mlops_json(project: Path, *arguments: str, check: bool = True) -> Any:
    """Run a verb that prints JSON and return what it printed."""
    return json.loads(mlops(project, *arguments, "--json", check=check).stdout)


def anchors(page: str) -> set[str]:
    """The anchors that GitHub and GitLab give the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
