"""Reject answers that would generate a broken project, with the reason and a remedy.

Cookiecutter renders this file, so that the answers enter it as JSON text and never as code. It runs with cookiecutter's
Python: import only the standard library, and only modules that load fast. The rules are data in cookiecutter.json.
"""

import sys

if __name__ == "__main__":
    # This file runs in the folder of temporary files, which others may write to: import nothing from there.
    del sys.path[0]

import json
import os
import re
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

ANSWERS = r"""<< cookiecutter | tojson >>"""


def refusals(answers: "dict[str, Any]") -> "Iterator[str]":
    """Yield a paragraph for each violation of a rule."""
    for question, rule in answers["_rules"].items():
        answer = answers[question]
        problem = broken(rule, answer)
        if problem:
            yield f"{question} {answer!r}: {problem}.\n  {rule['why']}\n  {rule['remedy']}"
    for row in answers["_refused"]:
        if all(answers[question] in choices for question, choices in row["when"].items()):
            first, *others = (f"{question} {answers[question]!r}" for question in row["when"])
            yield f"{first}: cannot be combined with {' and '.join(others)}.\n  {row['why']}\n  {row['remedy']}"
    for name, (value, question) in derived(answers).items():
        if answers[name] != value:
            yield (
                f"{name} {answers[name]!r}: is derived from {question} and cannot be set.\n"
                f"  The project's files would contradict its answers.\n  Set {question} instead."
            )


def derived(answers: "dict[str, Any]") -> dict[str, tuple[str, str]]:
    """Return the values of the private answers, each with the question that it is derived from."""
    values = {name: (_look_up(rule, answers), rule["by"][0]) for name, rule in answers["_derived"].items()}
    for question, rule in answers["_recommended"].items():
        answer = str(answers[question])
        values[question] = (_look_up(rule, answers) if answer == "recommended" else answer, question)
    return {f"__{name}": value for name, value in values.items()}


def _look_up(rule: "dict[str, Any]", answers: "dict[str, Any]") -> str:
    answer: Any = rule["answer"]
    for question in rule["by"]:
        if isinstance(answer, str):
            break  # the other questions make no difference
        answer = answer[answers[question]]
    return str(answer)


def broken(rule: "dict[str, Any]", answer: str) -> str:
    """Return which part of a rule an answer violates, or an empty string."""
    if not answer.strip():
        return "is empty"
    if rule.get("printable") and not answer.isprintable():
        return "contains a line break or another non-printable character"
    if any(mark in answer for mark in rule.get("without", ())):
        return f"contains {' or '.join(rule['without'])}"
    length = f"has {len(answer)} character{'' if len(answer) == 1 else 's'}"
    if len(answer) < rule.get("shortest", 0):
        return f"{length}, fewer than {rule['shortest']}"
    if len(answer) > rule.get("longest", len(answer)):
        return f"{length}, more than {rule['longest']}"
    if "pattern" in rule and not re.fullmatch(rule["pattern"], answer):
        return f"does not match the pattern {rule['pattern']}"
    if "one_of" in rule and answer not in rule["one_of"]:
        return f"is not one of {', '.join(rule['one_of'])}"
    return ""


def outdated_cookiecutter() -> str:
    """Return the version of a cookiecutter before 2.7, which renders this template wrongly, or an empty string."""
    # Up to 2.6, the package has its version in a file; up to 2.5, it renders the decoy folder as the project.
    package = PathFinder.find_spec("cookiecutter")
    version = os.path.join(os.path.dirname(package.origin), "VERSION.txt") if package and package.origin else ""
    if os.path.isfile(version):
        with open(version, encoding="utf-8") as file:
            return file.read().strip()
    return "before 2.6" if "cookiecutter." in os.path.basename(os.getcwd()) else ""


def main() -> int:
    """Print every problem to standard error; return 1 if there is one."""
    version = outdated_cookiecutter()
    if version:
        problems = [f"cookiecutter {version} is too old.\n  Install 2.7 or newer: pip install --upgrade cookiecutter"]
    else:
        problems = list(refusals(json.loads(ANSWERS)))
    # The answers may contain characters that the terminal cannot encode.
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper here
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
