"""What runs where: each list holds what its entries import, and nothing else."""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from mlops.base import contents
from tests.projects import SOURCES

JOBS = ("validate", "preprocess", "train", "evaluate", "baseline", "compare")
OWNERS = ("algorithm", "derive", "evaluate", "hyperparameters", "preprocess", "schema")


def image(root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for pattern in contents.IMAGE for path in root.glob(pattern)}


def modules(files: Mapping[str, Path]) -> dict[str, Path]:
    return {name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path for name, path in files.items()}


def imported(name: str, path: Path) -> Iterator[str]:
    """What a module imports, or starts as a process of its own, with the packages that these are in."""
    text = path.read_text(encoding="utf-8")
    names = [name, *re.findall(r'"(mlops\.serving\.\w+)"', text)]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    for each in names:
        parts = each.split(".")
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def reached(known: Mapping[str, Path], entries: Iterable[str]) -> tuple[set[str], set[str]]:
    """The modules that entries need, and those among them that are ours and not there."""
    found, missing, todo = set[str](), set[str](), list(entries)
    every = modules({path.relative_to(SOURCES).as_posix(): path for path in SOURCES.glob("m*/**/*.py")})
    every |= modules({path.relative_to(SOURCES / "src").as_posix(): path for path in SOURCES.glob("src/**/*.py")})
    while todo:
        name = todo.pop()
        if name in known and name not in found:
            found.add(name)
            todo += imported(name, known[name])
        elif name not in known and name in every:
            missing.add(name)
    return found, missing


LISTS = {
    "baseline": (contents.listed(SOURCES, contents.BASELINE), ["modelkit.jobs.baseline"]),
    "functions": (
        contents.listed(SOURCES, contents.FUNCTIONS),
        [
            f"mlops.functions.{name}"
            for name in ("api", "inputs", "monitor", "promote", "retrain", "sweep", "validate_data")
        ],
    ),
    "image": (image(SOURCES).items(), ["mlops.serving.container"]),
    "jobs": (
        (
            file
            for file in contents.job_files(SOURCES)
            if not file[0].endswith(("_sklearn.py", "_pytorch.py", ".html.jinja"))  # templates are not imported
        ),
        [
            *(f"modelkit.jobs.{name}" for name in JOBS), "modelkit.synthetic", "model.onnx_twin",
            *(f"model.{name}" for name in OWNERS), "modelkit.hosting", "modelkit.pickles",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_nothing_is_missing_and_nothing_is_idle(name: str) -> None:
    files, entries = LISTS[name]
    known = modules(dict(files))
    found, missing = reached(known, entries)
    assert missing == set()
    assert known.keys() - found == set()


@pytest.mark.parametrize("framework", ["", "_sklearn", "_pytorch"])
def test_what_a_server_imports_of_an_archive_needs_no_pyarrow(framework: str) -> None:
    known = modules(dict(contents.job_files(SOURCES)))
    known["model.algorithm"] = known[f"model.algorithm{framework}"]
    found, _ = reached(known, ["modelkit.hosting"])
    imports = {each for name in found for each in imported(name, known[name])}
    assert "numpy" in imports
    assert "pyarrow" not in imports


def test_what_travels_with_a_model_imports_neither_the_machinery_nor_a_framework() -> None:
    allowed = {"model", "modelkit", "numpy", "pyarrow"}
    for name, path in modules({path.name: path for path in SOURCES.glob("modelkit/**/*.py")}).items():
        at_the_top = {
            node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        outside = {str(each).partition(".")[0] for each in at_the_top} - set(sys.stdlib_module_names)
        assert outside <= allowed, name
        assert "mlops" not in {each.partition(".")[0] for each in imported(name, path)}, name


def test_the_server_imports_no_model_of_its_own() -> None:
    for name, path in modules(image(SOURCES)).items():
        assert not {"model", "modelkit"} & set(imported(name, path)), name


def test_the_image_is_sent_what_the_table_lists() -> None:
    lines = (SOURCES / "container/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in lines if line.startswith("!mlops")} == set(contents.IMAGE)
    trigger = re.search(r"FilePaths: {Includes: \[(.*)\]}", (SOURCES / "infra/image.yaml").read_text(encoding="utf-8"))
    assert trigger
    folders = [pattern.removesuffix("/**") for pattern in trigger[1].split(", ")]
    sent = [line[1:] for line in lines if line.startswith("!")]
    assert [path for path in (*sent, *contents.IMAGE) if path.partition("/")[0] not in folders] == []
