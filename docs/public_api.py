"""Generate the tables of verbs and of a pipeline's context from their sources, without importing them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

MLOPS = Path(__file__).parent.parent / "<<cookiecutter.project_slug>>/mlops"

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def verbs() -> str:
    """Each verb with its summary, and whether it prints JSON."""
    return "\n".join(["| verb | does | `--json` |", "|---|---|---|", *_verbs()])


def _verbs() -> Iterator[str]:
    for path in sorted((MLOPS / "cli/verbs").glob("[!_]*.py")):
        module = _module(path)
        summary = (ast.get_docstring(module) or "").partition("\n")[0].replace("|", "\\|")
        words = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant)}
        yield f"| `{path.stem}` | {summary} | {'yes' if '--json' in words else ''} |"


def context() -> str:
    """The attributes and methods of the object that a pipeline is built with."""
    module = _module(MLOPS / "compile/context.py")
    (described,) = (node for node in module.body if isinstance(node, ast.ClassDef))
    lines = ["| attribute or method | what it is |", "|---|---|"]
    for name, text in _ATTRIBUTE.findall((ast.get_docstring(described) or "").partition("Attributes:\n")[2]):
        lines.append(f"| `{name}` | {' '.join(text.split())} |")
    for node in described.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = ", ".join(argument.arg for argument in node.args.args[1:])
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            lines.append(f"| `{node.name}({arguments})` | {summary} |")
    return "\n".join(lines)


def _module(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
