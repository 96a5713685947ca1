"""Generate the table of questions from cookiecutter.json; `python docs/questions.py` prints it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TEMPLATE: dict[str, Any] = json.loads((Path(__file__).parent.parent / "cookiecutter.json").read_text(encoding="utf-8"))
ASKED = [name for name in TEMPLATE if not name.startswith("_")]


def page() -> str:
    """Each question with its choices, its rules, and the combinations that are rejected."""
    return "\n".join([*_overview(), *(line for name in ASKED for line in _question(name)), *_rejected()])


def _overview() -> Iterator[str]:
    yield from ("| question | default | choices |", "|---|---|---|")
    for name in ASKED:
        choices = TEMPLATE[name] if isinstance(TEMPLATE[name], list) else []
        yield f"| [`{name}`](#{name}) | {_default(name)} | {', '.join(map(_code, choices)) or 'text'} |"
    yield ""


def _question(name: str) -> Iterator[str]:
    label = TEMPLATE["__prompts__"][name]
    yield from (f"## `{name}` {{#{name}}}", "", f"{_title(name)}.", "", f"Default: {_default(name)}", "")
    if isinstance(label, dict):
        yield from ("| answer | meaning |", "|---|---|")
        for choice in TEMPLATE[name]:
            yield f"| {_code(choice)} | {label[choice].removeprefix(f'{choice}: ')} |"
        yield ""
    if name in TEMPLATE["_recommended"]:
        yield from _recommended(TEMPLATE["_recommended"][name])
    if name in TEMPLATE["_rules"]:
        yield from _rule(TEMPLATE["_rules"][name])


def _recommended(rule: dict[str, Any]) -> Iterator[str]:
    """What `recommended` means, a row for each set of the answers that it follows from."""
    yield from (
        "`recommended` means:",
        "",
        f"| {' | '.join(map(_code, rule['by']))} | answer |",
        "|---" * (len(rule["by"]) + 1) + "|",
    )
    for *answers, meaning in _leaves(rule["answer"]):
        any_ = ["any"] * (len(rule["by"]) - len(answers))
        yield f"| {' | '.join([*map(_code, answers), *any_, _code(meaning)])} |"
    yield ""


def _leaves(tree: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, str):
        yield (tree,)
    else:
        for key, branch in tree.items():
            for leaf in _leaves(branch):
                yield (key, *leaf)


def _rule(rule: dict[str, Any]) -> Iterator[str]:
    if "one_of" in rule:
        yield from (f"One of {', '.join(map(_code, rule['one_of']))}.", "")
    if "pattern" in rule:
        yield from (f"Pattern: `{rule['pattern']}`.", "")
    yield from (f"{_text(rule['remedy'])} {_text(rule['why'])}", "")


def _rejected() -> Iterator[str]:
    yield from (
        "## Rejected combinations",
        "",
        "| answers | why | instead |",
        "|---|---|---|",
    )
    for row in TEMPLATE["_refused"]:
        answers = "<br>with ".join(
            f"`{name}`: {', '.join(map(_code, choices))}" for name, choices in row["when"].items()
        )
        yield f"| {answers} | {_text(row['why'])} | {_text(row['remedy'])} |"


def _title(name: str) -> str:
    label = TEMPLATE["__prompts__"][name]
    return _text(label["__prompt__"] if isinstance(label, dict) else label)


def _default(name: str) -> str:
    value = TEMPLATE[name]
    if isinstance(value, list):
        return _code(value[0])
    return "the project's name, in lower case with hyphens" if value.startswith("<<") else _code(value)


def _code(text: str) -> str:
    return f"`{text}`"


def _text(text: str) -> str:
    return text.replace("<<", "`<<`").replace("# {", "`# {`").replace("|", "\\|")


if __name__ == "__main__":
    print(page())
