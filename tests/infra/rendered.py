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
    return {path.stem: text for path, text in _texts("infra/*.yaml", answers).items()}


def buildspecs(answers: Mapping[str, str]) -> dict[str, str]:
    """What the buildspecs of such a project say, by their path in it."""
    return {str(path): text for path, text in _texts("buildspecs/*.yml", answers).items()}


def _texts(pattern: str, answers: Mapping[str, str]) -> dict[Path, str]:
    asked = {name: value for name, value in QUESTIONS.items() if isinstance(value, str) and not name.startswith("_")}
    context = {"cookiecutter": {**asked, **meant(answers), "project_slug": SLUG}}
    environment = StrictEnvironment(context=context, keep_trailing_newline=True, **QUESTIONS["_jinja2_env_vars"])
    paths = [path.relative_to(SOURCES) for path in sorted(SOURCES.glob(pattern))]
    return {
        path: environment.from_string((SOURCES / path).read_text(encoding="utf-8")).render(context)
        for path in paths
        if str(path) not in left_out(answers)
    }


@functools.cache
def every_text() -> dict[tuple[str, str], dict[str, str]]:
    """Each stack and each text that its template comes to for the sets of answers that cover all pairs, with a set."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for answers in COVERING:
        for stack, text in texts(answers).items():
            found.setdefault((stack, text), answers)
    return found
