"""What every test of the template stands on: a clean copy of the template, rendering, and no network."""

import functools
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from standin import network
from standin.account import StandInAccount
from tests.environments import give
from tests.own_code import kept
from tests.places import BUCKET
from tests.projects import SLUG, Bake, copy_template, mlops, rendered

pytest_plugins = ["standin.fixtures", "tests.costs"]

LONG = {"record", "ran"}
"""Fixtures of tests that take long: a stand-in account to deploy into, and a project that has trained a model."""

network.refuse_beyond_loopback()
# A shell starts what it runs in the background with the signal ignored, and so would every process of these tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the whole suite what takes long; a single test that does is marked where it is."""
    for item in items:
        if LONG.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def own_code() -> Iterator[None]:
    """No test finds the code of an archive that another one loaded in this process."""
    with kept():
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template as a fresh clone would hold it, with what is not committed yet."""
    return copy_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def with_bucket(here: StandInAccount) -> StandInAccount:
    """An account with the project's bucket in it."""
    configuration = {"LocationConstraint": here.region}
    here.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=configuration)
    return here


@pytest.fixture
def bake(template: Path, tmp_path: Path) -> Bake:
    """Render a project of a test's own with some answers and return its folder."""
    return functools.partial(rendered, template, tmp_path / "out")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers share."""
    folder = tmp_path_factory.getbasetemp()
    shared = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "shared"
    shared.mkdir(exist_ok=True)
    return shared


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker that asks for it makes."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            making = folder.with_name(f"{folder.name}.making")
            shutil.rmtree(making, ignore_errors=True)
            make(making)
            making.rename(folder)
    return folder


@pytest.fixture(scope="session")
def rendering(template: Path, shared: Path) -> Bake:
    """The folder of a project with some answers, rendered once. Do not change it."""

    def project(**answers: Any) -> Path:
        digest = hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()
        (made,) = made_once(shared / digest, lambda folder: rendered(template, folder, **answers)).iterdir()
        return made

    return project


@pytest.fixture(scope="session")
def default_project(rendering: Bake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the default answers and its environments. Do not change it."""
    return give(Path(shutil.copytree(rendering(), tmp_path_factory.mktemp("project") / SLUG)))


@pytest.fixture(scope="session")
def compiled_project(rendering: Bake, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default project with its pipeline compiled for `local`. Do not change it: `project` is a copy."""

    def compile_(folder: Path) -> None:
        mlops(give(Path(shutil.copytree(rendering(), folder))), "compile")

    return own_copy(made_once(shared / "compiled", compile_), tmp_path_factory.mktemp("compiled") / SLUG)


@pytest.fixture
def project(compiled_project: Path, tmp_path: Path) -> Path:
    """A compiled project of a test's own."""
    return Path(shutil.copytree(compiled_project, tmp_path / SLUG, symlinks=True))


@pytest.fixture(scope="session")
def ran(compiled_project: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run once. Do not change it: `after_run` is a copy."""

    def run(folder: Path) -> None:
        mlops(Path(shutil.copytree(compiled_project, folder, symlinks=True)), "run")

    return own_copy(made_once(shared / "ran", run), tmp_path_factory.mktemp("ran") / "project")


def own_copy(project: Path, folder: Path) -> Path:
    """A copy of a project that another worker may have made, with a compiler of this one."""
    return give(Path(shutil.copytree(project, folder, symlinks=True)))


@pytest.fixture
def after_run(ran: Path, tmp_path: Path) -> Path:
    """A project of a test's own that has registered a version."""
    return Path(shutil.copytree(ran, tmp_path / "after", symlinks=True))
