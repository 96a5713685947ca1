"""Whether numbers that are put into a text, or handed to code in its environment, are taken as whole ones only.

A parameter of type Number takes fractions too: before six zeros, 2.5 becomes 2.5000000, which no code reads as a whole
number. One of type String says which numbers there are by its pattern.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from standin.finding import Finding
from standin.template import Template, unsatisfied

FRACTION = "1.5"


def findings(template: Template) -> list[Finding]:
    """Parameters of a template, as it is written, that should take whole numbers only and take a fraction."""
    declared = template.data.get("Parameters", {})
    return [
        Finding(f"Parameters/{name}", f"{FRACTION} is taken for a number that is put into a text")
        for name in sorted(set(_texts(template.data["Resources"])))
        if _is_number(declared.get(name, {})) and unsatisfied(name, declared[name], FRACTION) is None
    ]


def _is_number(declared: Mapping[str, Any]) -> bool:
    return declared.get("Type") == "Number" or str(declared.get("Default", "")).isdigit()


def _texts(value: Any, inside: bool = False) -> Iterator[str]:
    """The names of what becomes part of a text, or of an environment."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item, inside)
    elif isinstance(value, dict):
        if inside and isinstance(value.get("Ref"), str):
            yield value["Ref"]
        for key, item in value.items():
            if key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)\}", item if isinstance(item, str) else item[0])
            yield from _texts(item, inside or key in ("Environment", "Fn::Sub") or _joins_several(key, item))


def _joins_several(key: str, argument: Any) -> bool:
    return key == "Fn::Join" and isinstance(argument[1], list) and len(argument[1]) > 1
