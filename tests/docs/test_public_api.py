"""The page of the public API says what the files of a rendered project that belong to its owner import and call."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.projects import ROOT, SOURCES

PAGE = (ROOT / "docs/reference/public-api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `((?:mlops|modelkit)[\w.]*)` \| (`.+?`) \|", re.MULTILINE)
IMPORTS, HANDLERS = (PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0] for title in ("Imports", "Handlers"))
STATED = {(module, name) for module, names in ROW.findall(IMPORTS) for name in re.findall(r"`(\w+)`", names)}
OWNED = ("src", "pipelines", "tests", "notebooks")
MACHINERY = ("mlops", "modelkit")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Each name that a file imports from the machinery, with its module; for a module, what is used of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name.partition(".")[0] in MACHINERY], path
        if not isinstance(node, ast.ImportFrom) or str(node.module).partition(".")[0] not in MACHINERY:
            continue
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            if file_of(inner):
                yield from ((inner, name) for variable, name in used if variable == (alias.asname or alias.name))
            else:
                yield str(node.module), alias.name


def file_of(module: str) -> Path | None:
    path = SOURCES.joinpath(*module.split("."))
    found = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in found if file.is_file()), None)


def defined(path: Path) -> set[str]:
    """The names that a module defines at its top."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


FOUND = {
    imported: path.relative_to(SOURCES).as_posix()
    for folder in OWNED
    for path in sorted((SOURCES / folder).rglob("*.py"))
    for imported in imports(path)
}


def test_the_owner_s_files_import_only_what_the_page_states() -> None:
    assert FOUND
    assert {imported: path for imported, path in FOUND.items() if imported not in STATED} == {}


def test_everything_that_the_page_states_is_there() -> None:
    assert STATED
    for module, name in STATED:
        path = file_of(module)
        assert path, module
        assert name in defined(path), f"{module}.{name}"


def test_the_page_names_each_handler_of_the_stacks() -> None:
    handlers = {
        handler
        for folder in (SOURCES / "infra", ROOT / "templates/fragments")
        for path in folder.glob("*.yaml")
        for handler in re.findall(r"Handler: (mlops\.[\w.]+)", path.read_text(encoding="utf-8"))
    }
    assert handlers
    assert handlers == set(re.findall(r"^\| `([\w.]+)` \|", HANDLERS, re.MULTILINE))


def test_buildspecs_make_and_hooks_call_verbs_and_modules_that_the_page_allows() -> None:
    verbs = {path.stem for path in SOURCES.joinpath("mlops/cli/verbs").glob("[!_]*.py")}
    files = [*SOURCES.glob("buildspecs/*.yml"), SOURCES / "Makefile", *SOURCES.glob("container/*")]
    called = {
        word
        for path in files
        for word in re.findall(r"-m\"?,? \"?mlops(?:[ .][\w.]+)?", path.read_text(encoding="utf-8"))
    }
    names = {word.rpartition("mlops")[2] for word in called}
    assert {name[1:] for name in names if name.startswith(" ")} <= verbs
    assert {name for name in names if name.startswith(".")} == {".cli.in_use", ".serving.container"}
    assert all(f"`python -m mlops{name}`" in PAGE for name in (".cli.in_use", ".serving.container"))
