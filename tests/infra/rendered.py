"""Rendered infrastructure: projects that are filled in, and every text that the templates of all answers come to."""

import functools
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from cookiecutter.environment import StrictEnvironment

from tests.answers import COVERING, QUESTIONS, completed, left_out
from tests.environments import give
from tests.projects import ROOT, SOURCES

SLUG = "visits"
ID = "p-0123456789ab"


OWN_IMAGE = {"project_slug": SLUG, "training_image": "custom"}
"""The answers of a project that builds an image of its own."""


def configured(project: Path, folder: Path, /, **values: str) -> Path:
    """A copy of a project in a folder, with environments and with some values of config/dev.yaml filled in.

    `smoke` has no effective latency limit there: the latency of a simulated endpoint depends on the test machine.
    """
    copy = give(Path(shutil.copytree(project, folder / project.name)))
    base = copy / "config/base.yaml"
    base.write_text(re.sub(r"max_p99_ms: .*", "max_p99_ms: 600000", base.read_text(encoding="utf-8")), encoding="utf-8")
    configure(copy, **values)
    return copy


def configure(project: Path, /, **values: str) -> None:
    """Set texts of config/dev.yaml by their keys, wherever these stand in it."""
    path = project / "config/dev.yaml"
    text = path.read_text(encoding="utf-8")
    for key, value in values.items():
        text, times = re.subn(rf"^( *{key}): .*$", rf'\g<1>: "{value}"', text, flags=re.MULTILINE)
        assert times == 1, key
    path.write_text(text, encoding="utf-8")


def text_of(name: str, answers: Mapping[str, str]) -> str:
    """What a file of the template says in a project with some answers; without rendering the rest of it."""
    return _compiled(name).render(cookiecutter=_context(frozenset(answers.items())))


@functools.cache
def _context(answers: frozenset[tuple[str, str]]) -> dict[str, Any]:
    return completed(**{"project_slug": SLUG, **dict(answers)})


@functools.cache
def _compiled(name: str) -> jinja2.Template:
    context: dict[str, Any] = {"cookiecutter": {}}  # says which extensions there are: none
    environment = StrictEnvironment(context=context, keep_trailing_newline=True, **QUESTIONS["_jinja2_env_vars"])
    environment.loader = jinja2.FileSystemLoader(ROOT / "templates")  # of fragments, as cookiecutter has it
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
