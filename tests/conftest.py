"""What every test of the template stands on: a clean copy of the template, rendering, and no network."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from standin import network
from tests.projects import ROOT, SLUG, Bake, give_environments, mlops, rendered

pytest_plugins = ["standin.fixtures"]

LONG = {"record", "ran"}
"""Fixtures of tests that take long: a stand-in account to deploy into, and a project that has trained a model."""

network.refuse_beyond_loopback()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the whole suite what takes long; a single test that does is marked where it is."""
    for item in items:
        if LONG.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep groups together: xdist 3.8 names them where pytest 9.2 does not look.

    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    for item in session.items:
        named = getattr(item, "_nodeid", item.nodeid)
        if named != item.nodeid:
            item._id = type(item.id).parse(named)


@pytest.fixture(autouse=True)
def fresh_handlers() -> Iterator[None]:
    """No test finds the handlers that another one loaded in this process, nor what a fixture of many tests loaded."""
    path = list(sys.path)
    sys.modules.pop("inference", None)
    yield
    sys.path[:] = path
    sys.modules.pop("inference", None)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template as a fresh clone would hold it, with what is not committed yet."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    copy = tmp_path_factory.mktemp("template")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture
def bake(template: Path, tmp_path: Path) -> Bake:
    """Render a project of a test's own with some answers and return its folder."""
    return functools.partial(rendered, template, tmp_path / "out")


@pytest.fixture(scope="session")
def rendering(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """The folder of a project with some answers, which the first worker that asks for it renders. Do not change it."""
    folder = tmp_path_factory.getbasetemp()
    shared = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "renderings"
    shared.mkdir(exist_ok=True)

    def project(**answers: Any) -> Path:
        digest = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
        with FileLock(shared / f"{digest}.lock"):
            return next((shared / digest).glob("*"), None) or rendered(template, shared / digest, **answers)

    return project


@pytest.fixture(scope="session")
def default_project(rendering: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the default answers; both its environments are the one that runs these tests. Do not change it."""
    return give_environments(Path(shutil.copytree(rendering(), tmp_path_factory.mktemp("project") / SLUG)))


@pytest.fixture(scope="session")
def compiled_project(default_project: Path) -> Path:
    """The default project with its pipeline compiled for `local`. Do not change it: `project` is a copy."""
    mlops(default_project, "compile")
    return default_project


@pytest.fixture
def project(compiled_project: Path, tmp_path: Path) -> Path:
    """A compiled project of a test's own."""
    return Path(shutil.copytree(compiled_project, tmp_path / SLUG, symlinks=True))


@pytest.fixture(scope="session")
def ran(compiled_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run once. Do not change it: `after_run` is a copy."""
    project = Path(shutil.copytree(compiled_project, tmp_path_factory.mktemp("ran") / "project", symlinks=True))
    mlops(project, "run")
    return project


@pytest.fixture
def after_run(ran: Path, tmp_path: Path) -> Path:
    """A project of a test's own that has registered a version."""
    return Path(shutil.copytree(ran, tmp_path / "after", symlinks=True))
