"""A project that trains and one that deploys what it registers, side by side on this machine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.environments import give
from tests.projects import ROOT, Bake, mlops, mlops_json, of_user

DEPLOYS = {"project_slug": "deployer", "project_scope": "deploy"}


def beside(trainer: Path, rendering: Bake, **answers: str) -> Path:
    """A project that deploys, in the folder that the one that trains is in, with the environments of these tests."""
    project = rendering(**DEPLOYS, **answers)
    copy = Path(shutil.copytree(project, trainer.parent / project.name))
    return give(copy, answers.get("framework", "xgboost"), warm=False)


def trained_in(project: Path, folder: str) -> None:
    configuration = project / "config/local.yaml"
    configuration.write_text(configuration.read_text().replace("trained_in: null", f"trained_in: {folder}"))


def make(project: Path, target: str) -> str:
    command = ["make", target]
    result = subprocess.run(command, cwd=project, env=of_user(), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("inference", ["realtime", "batch"])
def test_what_is_approved_in_one_is_used_in_the_other(after_run: Path, rendering: Bake, inference: str) -> None:
    project = beside(after_run, rendering, inference=inference)
    trained_in(project, f"../{after_run.name}")
    assert "No version is approved" in mlops(project, "invoke", "data/request.csv", check=False).stderr
    mlops(after_run, "approve", "latest")
    printed = make(project, "run")
    asked = mlops(after_run, "invoke", "data/request.csv").stdout
    if inference == "batch":
        assert asked in printed
    else:
        assert "Version 1 predicts what the registered model predicts." in printed
        assert "Version 1 is no longer served." in printed
    assert mlops(project, "invoke", "data/request.csv").stdout == asked
    [version] = mlops_json(project, "models")
    assert (version["version"], version["status"]) == (1, "Approved")
    mlops(project, "approve", "1", "--reject")
    assert [version["status"] for version in mlops_json(after_run, "models")] == ["Rejected"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"inference": "batch", "monitoring": "off", "framework": "sklearn", "git_provider": "codecommit"},
        {"inference": "async", "training_image": "custom", "framework": "pytorch"},
        {"team_size": "medium"},
    ],
    ids=["default", "batch", "async", "several accounts"],
)
def test_its_own_commands_find_nothing(rendering: Bake, tmp_path: Path, answers: dict[str, str]) -> None:
    project = beside(tmp_path / "none", rendering, **answers)
    make(project, "lint")
    assert " passed" in make(project, "test")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (None, "config/local.yaml has no value for `trained_in`."),
        ("../nowhere", "nowhere does not train."),
        (".", "deployer does not train."),
    ],
)
def test_a_project_that_trains_is_asked_for(rendering: Bake, tmp_path: Path, folder: str | None, said: str) -> None:
    project = beside(tmp_path / "none", rendering)
    if folder:
        trained_in(project, folder)
    for verb in (["serve", "--detach"], ["models"], ["invoke", "data/request.csv"], ["smoke"]):
        refused = mlops(project, *verb, check=False)
        assert refused.returncode == 2
        assert said in refused.stderr


def test_where_versions_are_registered_is_asked_for_before_anything_is_deployed(
    rendering: Bake, tmp_path: Path
) -> None:
    project = beside(tmp_path / "none", rendering)
    refused = mlops(project, "deploy", "--environment", "dev", "--yes", check=False)
    assert refused.returncode == 2
    assert "No value for `stacks.registry.model_package_group` in config/dev.yaml." in refused.stderr


def test_it_has_no_verb_that_trains(rendering: Bake, tmp_path: Path) -> None:
    project = beside(tmp_path / "none", rendering)
    verbs = re.findall(r"^  ([a-z]+) ", mlops(project, "--help").stdout, re.M)
    assert {"deploy", "approve", "smoke", "serve", "monitor"} <= set(verbs)
    assert not {"run", "runs", "data", "validate", "retrain", "traffic"} & set(verbs)
    refused = mlops(project, "monitor", "--retrain", check=False)
    assert refused.returncode == 2
    assert "This project trains no model" in refused.stderr


@pytest.mark.parametrize("framework", ["xgboost", "sklearn", "pytorch"])
def test_its_development_environment_is_part_of_the_one_of_the_project_that_trains(framework: str) -> None:
    locks = ROOT / "<<cookiecutter.project_slug>>/locks" / framework
    pinned = {
        name: set(re.findall(r"^([a-z0-9._-]+==\S+)", (locks / f"{name}.txt").read_text(), re.M))
        for name in ("deploy", "dev", "runtime")
    }
    assert pinned["runtime"] < pinned["deploy"] < pinned["dev"]
    assert not [pin for pin in pinned["deploy"] if pin.startswith(("sagemaker", "moto"))]
