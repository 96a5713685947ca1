import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.project import Project

ROOT = Path(__file__).parent.parent
IMAGE: dict[str, Any] = yaml.safe_load((ROOT / "config/images/xgboost.yaml").read_text(encoding="utf-8"))
STEP_SCRIPTS = sorted([*(ROOT / "src/model").rglob("*.py"), *(ROOT / "mlops/monitor").rglob("*.py")])
OWN_PACKAGES = {"model", "mlops"}


def imported_packages(script: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        yield from (name.partition(".")[0] for name in names)


def name_of(script: Path) -> str:
    return script.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("script", STEP_SCRIPTS, ids=name_of)
def test_a_step_script_imports_only_what_the_image_has(script: Path) -> None:
    elsewhere = set(imported_packages(script)) - sys.stdlib_module_names - OWN_PACKAGES
    assert elsewhere <= set(IMAGE["packages"])


@pytest.mark.parametrize("script", STEP_SCRIPTS, ids=name_of)
def test_a_step_script_is_written_in_the_image_s_python(script: Path) -> None:
    major, minor = map(int, IMAGE["python"].split("."))
    ast.parse(script.read_text(encoding="utf-8"), feature_version=(major, minor))


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_environment_says_what_the_pipeline_asks_for(path: Path) -> None:
    environment = Project(ROOT).environment(path.stem)
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
