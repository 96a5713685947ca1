"""The template's questions, and the sets of answers that the tests render: together they hold every valid pair."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from covertable import make

from hooks.pre_gen_project import derived
from tests.projects import ROOT

QUESTIONS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES: dict[str, list[str]] = {
    name: value for name, value in QUESTIONS.items() if isinstance(value, list) and not name.startswith("_")
}
DEFAULTS = {name: choices[0] for name, choices in CHOICES.items()}
REGIONS: list[str] = QUESTIONS["_rules"]["aws_region"]["one_of"]


def refusal(answers: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The row of the refused combinations that answers fall under; None when they can be used."""
    full = {**DEFAULTS, "aws_region": QUESTIONS["aws_region"], **answers}
    refused: list[dict[str, Any]] = QUESTIONS["_refused"]
    return next((row for row in refused if all(full[name] in choices for name, choices in row["when"].items())), None)


def completed(**answers: str) -> dict[str, Any]:
    """Answers as the hooks get them: with defaults and private values, as cookiecutter makes them.

    Raises:
        ValueError: An answer is not one of its question's choices.
    """
    context = generate_context(str(ROOT / "cookiecutter.json"), extra_context=answers)
    made: dict[str, Any] = json.loads(json.dumps(prompt_for_config(context, no_input=True)))
    return made


def meant(answers: Mapping[str, str]) -> dict[str, str]:
    """Answers as files depend on them: defaults filled in, and what follows from them under the private names."""
    full = {**DEFAULTS, **answers}
    return full | {name: value for name, (value, _) in derived(QUESTIONS | full).items()}


def left_out(answers: Mapping[str, str]) -> set[str]:
    """The files and folders of the template that are no part of a project with some answers."""
    full = meant(answers)
    rows = QUESTIONS["_belongs_to"]
    applying = [row for row in rows if all(full[name] in choices for name, choices in row["when"].items())]
    stays = {name for row in applying for name in row["files"]}
    return {name for row in rows for name in row["files"]} - stays


def pairs(answers: Mapping[str, str]) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    """Each two answers of a set."""
    return set(itertools.combinations(sorted(answers.items()), 2))


def _covering() -> list[dict[str, str]]:
    constraints = [
        {
            "operator": "not",
            "condition": {
                "operator": "and",
                "conditions": [
                    {"operator": "in", "left": name, "values": values} for name, values in row["when"].items()
                ],
            },
        }
        for row in QUESTIONS["_refused"]
    ]
    return [dict(row) for row in make(CHOICES, strength=2, constraints=constraints)]


COVERING = [DEFAULTS, *_covering()]
"""Sets of answers, the default one first, in which every pair that is not refused occurs."""


def label(answers: Mapping[str, str]) -> str:
    """A set of answers in a few words: what is not the default."""
    return "-".join(answer for question, answer in answers.items() if answer != DEFAULTS.get(question)) or "default"


def beyond_default(answers: Mapping[str, str]) -> tuple[pytest.MarkDecorator, ...]:
    """The mark of what is tested for other answers than the default ones, of which there are many."""
    return () if answers == DEFAULTS else (pytest.mark.slow,)


def rest_at_night(cases: Sequence[Any], daily: int = 1) -> list[Any]:
    """Cases of a test that takes long: the first ones are tested with each change, the others at night."""
    return [*cases[:daily], *(pytest.param(case, marks=pytest.mark.nightly) for case in cases[daily:])]


each_set_of_answers = pytest.mark.parametrize(
    "answers", [pytest.param(answers, marks=beyond_default(answers), id=label(answers)) for answers in COVERING]
)
