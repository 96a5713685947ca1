"""The start of AWS's images, as far as it can be had: what becomes of an archive's code before the first request.

The images of XGBoost and scikit-learn start with sagemaker-containers, which makes a package of the folder that
SAGEMAKER_SUBMIT_DIRECTORY names and installs it with the image's pip (2.8.6.post2: `prepare`, `install` of _modules).
Under network isolation pip can download nothing.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tests.isolation import can_isolate, isolated
from tests.projects import ROOT, SOURCES

GOLDEN = ROOT / "tests/machinery/pipeline/golden/training-local.json"
SETUP = """
from setuptools import setup
setup(packages=[""], name="hosting", version="1.0.0", include_package_data=True)
"""


def registered() -> Mapping[str, str]:
    """The environment of the containers that are registered."""
    steps = json.loads(GOLDEN.read_text(encoding="utf-8"))["Steps"]
    branch = next(step for step in steps if step["Type"] == "Condition")["Arguments"]["IfSteps"]
    register = next(step for step in branch if step["Type"] == "RegisterModel")
    environment: Mapping[str, str] = register["Arguments"]["InferenceSpecification"]["Containers"][0]["Environment"]
    return environment


def install(folder: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Install the code of an archive as the image's server does when it starts, without a network."""
    code = folder / "code"
    shutil.copytree(SOURCES / "src/model", code / "model", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("inference.py", "hosting.py"):
        shutil.copy2(SOURCES / "src/model" / name, code / name)
    (code / "setup.py").write_text(SETUP)
    (code / "setup.cfg").write_text("[wheel]\nuniversal = 1\n")
    (code / "MANIFEST.in").write_text("recursive-include . *\nrecursive-exclude . __pycache__*\n")
    return subprocess.run(
        isolated(sys.executable, "-m", "pip", "install", ".", "--target", str(folder / "installed")),
        cwd=code, env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_code_of_an_archive_is_installed_without_a_network(tmp_path: Path) -> None:
    result = install(tmp_path, registered())
    assert result.returncode == 0, result.stdout + result.stderr
    program = registered()["SAGEMAKER_PROGRAM"]
    assert (tmp_path / "code" / program).is_file()


@pytest.mark.slow
def test_without_what_is_registered_the_image_would_not_start(tmp_path: Path) -> None:
    if not can_isolate():
        pytest.skip("this kernel lets us make no network namespace: pip would download what it lacks here")
    environment = {name: value for name, value in registered().items() if not name.startswith("PIP_")}
    result = install(tmp_path, environment)
    assert result.returncode != 0
    assert "setuptools" in result.stdout + result.stderr


@pytest.mark.parametrize("framework", ["xgboost", "sklearn"])
def test_it_is_tried_with_the_pip_of_the_images(framework: str) -> None:
    image = yaml.safe_load((SOURCES / f"config/images/{framework}.yaml").read_text(encoding="utf-8"))
    ours, theirs = version("pip").split("."), str(image["pip"]).split(".")
    assert ours[:2] == theirs[:2]
