"""Rendered infrastructure: projects of some answers, and every text that the templates of all answers come to."""

import functools
from collections.abc import Mapping
from pathlib import Path

import pytest
from cookiecutter.environment import StrictEnvironment
from cookiecutter.main import cookiecutter

from answers import COVERING, QUESTIONS, left_out, meant
from template import Template, load

SLUG = "visits"
ID = "p-0123456789ab"
SOURCES = Path(__file__).parents[2] / "<<cookiecutter.project_slug>>"


def rendered(source: Path, folder: Path, **answers: str) -> Path:
    """Render a project below a folder and return the project's folder.

    Args:
        source: The template.
        folder: Where to; it must not hold a project of this name yet.
        answers: Those that are not the default.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        context = {"project_slug": SLUG, **answers}
        return Path(cookiecutter(str(source), no_input=True, extra_context=context, output_dir=str(folder)))


def templates(project: Path) -> dict[str, Template]:
    """The CloudFormation templates of a project, by stack."""
    return {path.stem: load(path) for path in sorted((project / "infra").glob("*.yaml"))}


def texts(answers: Mapping[str, str]) -> dict[str, str]:
    """What the templates of a project with some answers say, by stack; without rendering the rest of it."""
    asked = {name: value for name, value in QUESTIONS.items() if isinstance(value, str) and not name.startswith("_")}
    context = {"cookiecutter": {**asked, **meant(answers), "project_slug": SLUG}}
    environment = StrictEnvironment(context=context, keep_trailing_newline=True, **QUESTIONS["_jinja2_env_vars"])
    paths = sorted((SOURCES / "infra").glob("*.yaml"))
    return {
        path.stem: environment.from_string(path.read_text(encoding="utf-8")).render(context)
        for path in paths
        if f"infra/{path.name}" not in left_out(answers)
    }


@functools.cache
def every_text() -> dict[tuple[str, str], dict[str, str]]:
    """Each stack and each text that its template comes to for the sets of answers that cover all pairs, with a set."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for answers in COVERING:
        for stack, text in texts(answers).items():
            found.setdefault((stack, text), answers)
    return found
