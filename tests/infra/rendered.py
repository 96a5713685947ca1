"""Rendered infrastructure: projects of some answers, and every text that the templates of all answers come to."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
from cookiecutter.environment import StrictEnvironment
from cookiecutter.main import cookiecutter

from answers import COVERING, QUESTIONS, left_out, meant

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


def text_of(name: str, answers: Mapping[str, str]) -> str:
    """What a file of the template says in a project with some answers; without rendering the rest of it."""
    asked = {name: value for name, value in QUESTIONS.items() if isinstance(value, str) and not name.startswith("_")}
    return _compiled(name).render(cookiecutter={**asked, **meant(answers), "project_slug": SLUG})


@functools.cache
def _compiled(name: str) -> jinja2.Template:
    context: dict[str, Any] = {"cookiecutter": {}}  # says which extensions there are: none
    environment = StrictEnvironment(context=context, keep_trailing_newline=True, **QUESTIONS["_jinja2_env_vars"])
    template: jinja2.Template = environment.from_string((SOURCES / name).read_text(encoding="utf-8"))
    return template


def texts(answers: Mapping[str, str]) -> dict[str, str]:
    """What the templates of a project with some answers say, by stack."""
    return {Path(name).stem: text for name, text in _texts("infra/*.yaml", answers).items()}


def buildspecs(answers: Mapping[str, str]) -> dict[str, str]:
    """What the buildspecs of a project with some answers say, by their path in it."""
    return _texts("buildspecs/*.yml", answers)


def _texts(pattern: str, answers: Mapping[str, str]) -> dict[str, str]:
    names = {path.relative_to(SOURCES).as_posix() for path in SOURCES.glob(pattern)} - left_out(answers)
    return {name: text_of(name, answers) for name in sorted(names)}


@functools.cache
def every_text() -> dict[tuple[str, str], dict[str, str]]:
    """Each stack and each text that its template comes to for the sets of answers that cover all pairs, with a set."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for answers in COVERING:
        for stack, text in texts(answers).items():
            found.setdefault((stack, text), answers)
    return found
