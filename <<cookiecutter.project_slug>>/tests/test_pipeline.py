import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.project.project import Project
from model.hyperparameters import HYPERPARAMETERS

ROOT = Path(__file__).parent.parent
FRAMEWORK = Project(ROOT).answer("framework")
IMAGE: dict[str, Any] = yaml.safe_load((ROOT / f"config/images/{FRAMEWORK}.yaml").read_text(encoding="utf-8"))
TWIN = ROOT / "src/model/onnx_twin.py"  # made by the server, in this project's own environment
STEP_SCRIPTS = sorted({*(ROOT / "src/model").rglob("*.py")} - {TWIN})
OWN_PACKAGES = {"model", "modelkit"}
SOLD_AS = packages_distributions()  # reads the metadata of every package


def imported_modules(script: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(script: Path) -> str:
    return script.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("script", STEP_SCRIPTS, ids=name_of)
def test_a_step_script_imports_only_what_the_image_has(script: Path) -> None:
    modules = set(imported_modules(script))
    assert not {module for module in modules if "onnx_twin" in module}
    elsewhere = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - OWN_PACKAGES
    assert {name for name in elsewhere if not {name, *SOLD_AS.get(name, [])} & set(IMAGE["packages"])} == set()


@pytest.mark.parametrize("script", STEP_SCRIPTS, ids=name_of)
def test_a_step_script_is_written_in_the_image_s_python(script: Path) -> None:
    major, minor = map(int, IMAGE["python"].split("."))
    ast.parse(script.read_text(encoding="utf-8"), feature_version=(major, minor))


@pytest.mark.parametrize("name", ["local", "dev"])
def test_where_models_are_trained_the_configuration_says_what_the_pipeline_asks_for(name: str) -> None:
    environment = Project(ROOT).environment(name)
    source = ast.parse((ROOT / "pipelines/training.py").read_text(encoding="utf-8"))
    asked = {
        str(node.slice.value)
        for node in ast.walk(source)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "context"
        and isinstance(node.slice, ast.Constant)
    }
    assert asked
    assert environment.missing(*asked) == []
    assert environment["hyperparameters"].keys() == {known.name for known in HYPERPARAMETERS}
