"""Event patterns of EventBridge: whether one is valid, and whether it matches an event.

Semantics: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
"""

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from standin.finding import Finding
from standin.template import Template

FIELDS = {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name"}
LONGEST_PATTERN = 2048
"""Characters of a pattern as compact JSON."""
LARGEST_NUMBER = 5e9
OR = "$or"

_TEXTUAL = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    "=": lambda left, right: left == right,
    ">=": lambda left, right: left >= right,
    ">": lambda left, right: left > right,
}


def findings(resolved: Template) -> list[Finding]:
    """Faults of the event patterns of a resolved template."""
    return [
        resolved.finding(what, name, "Properties", "EventPattern")
        for name, properties in resolved.properties("AWS::Events::Rule")
        if "EventPattern" in properties
        for what in faults(properties["EventPattern"])
    ]


def faults(pattern: Any) -> Iterator[str]:
    """What EventBridge refuses in a pattern, and fields that no event has."""
    yield from _object_faults(pattern, "")
    if isinstance(pattern, dict):
        alternatives = [item for item in pattern.get(OR, []) if isinstance(item, dict)]
        for field in {field for part in (pattern, *alternatives) for field in part} - FIELDS - {OR}:
            yield f"events have no field {field}"
    if len(json.dumps(pattern, separators=(",", ":"))) > LONGEST_PATTERN:
        yield f"it is longer than {LONGEST_PATTERN} characters"


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether an event matches a valid pattern.

    Every field of the pattern must match; one value of a field that holds several is enough. What stands in one item of
    an array of objects is matched together.
    """
    if isinstance(event, list):
        return any(matches(pattern, item) for item in event)
    event = event if isinstance(event, dict) else {}
    return all(_field_matches(field, wanted, event) for field, wanted in pattern.items())


def _field_matches(field: str, wanted: Any, event: Mapping[str, Any]) -> bool:
    if field == OR and isinstance(wanted, list) and all(isinstance(item, dict) for item in wanted):
        return any(matches(alternative, event) for alternative in wanted)
    if isinstance(wanted, dict):
        return matches(wanted, event.get(field))
    values = list(_leaves(event[field])) if field in event else []
    return any(_leaf_matches(condition, values) for condition in wanted)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif not isinstance(value, dict):
        yield value


def _leaf_matches(condition: Any, values: Sequence[Any]) -> bool:
    if isinstance(condition, dict) and "exists" in condition:
        return bool(values) is condition["exists"]
    return any(_value_matches(condition, value) for value in values)


def _value_matches(condition: Any, value: Any) -> bool:
    if not isinstance(condition, dict):
        return _same(condition, value)
    ((operator, argument),) = condition.items()
    match operator:
        case "anything-but":
            return not any(_value_matches(excluded, value) for excluded in _excluded(argument))
        case "numeric":
            return _is_number(value) and all(
                _COMPARISONS[comparison](value, limit)
                for comparison, limit in zip(argument[::2], argument[1::2], strict=True)
            )
        case "cidr":
            return _in_network(value, argument)
        case _:
            return isinstance(value, str) and _text_matches(operator, argument, value)


def _same(wanted: Any, value: Any) -> bool:
    """Character by character, as the service compares: 300 is not 300.0."""
    return json.dumps(wanted) == json.dumps(value)


def _excluded(argument: Any) -> list[Any]:
    """The conditions of which none may match."""
    if not isinstance(argument, dict):
        return argument if isinstance(argument, list) else [argument]
    ((operator, texts),) = argument.items()
    return [{operator: text} for text in (texts if isinstance(texts, list) else [texts])]


def _text_matches(operator: str, argument: Any, value: str) -> bool:
    if isinstance(argument, dict):  # {"prefix": {"equals-ignore-case": "x"}}
        argument, value = argument["equals-ignore-case"].lower(), value.lower()
    match operator:
        case "prefix":
            return value.startswith(argument)
        case "suffix":
            return value.endswith(argument)
        case "equals-ignore-case":
            return value.lower() == str(argument).lower()
        case _:  # wildcard: \* and \\ stand for themselves
            parts = re.findall(r"\\[*\\]|.", argument, re.DOTALL)
            expression = "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)
            return re.fullmatch(expression, value, re.DOTALL) is not None


def _in_network(value: Any, network: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _object_faults(pattern: Any, place: str) -> Iterator[str]:
    if not isinstance(pattern, dict) or not pattern:
        yield f"{place or 'the pattern'} is not an object with fields"
        return
    for field, wanted in pattern.items():
        inner = f"{place}.{field}".lstrip(".")
        if field == OR:
            if not isinstance(wanted, list) or len(wanted) < 2:
                yield f"{inner} needs two or more alternatives"
                continue
            for index, alternative in enumerate(wanted):
                yield from _object_faults(alternative, f"{inner}[{index}]")
        elif isinstance(wanted, dict):
            yield from _object_faults(wanted, inner)
        elif not isinstance(wanted, list) or not wanted:
            yield f"{inner} is not a list of values"
        else:
            for condition in wanted:
                yield from _condition_faults(condition, inner)


def _condition_faults(condition: Any, place: str) -> Iterator[str]:
    if isinstance(condition, list):
        yield f"{place} holds a list in a list"
    if not isinstance(condition, dict):
        return
    if len(condition) != 1:
        yield f"{place}: one operator in each object, not {', '.join(condition) or 'none'}"
        return
    ((operator, argument),) = condition.items()
    check = _ARGUMENTS.get(operator)
    if check is None:
        yield f"{place}: there is no operator {operator}"
    elif not check(argument):
        yield f"{place}: {operator} does not take {json.dumps(argument)}"


def _is_text(argument: Any) -> bool:
    return isinstance(argument, str) and argument != ""


def _is_text_in_any_case(argument: Any) -> bool:
    return _is_text(argument) or (isinstance(argument, dict) and list(argument) == ["equals-ignore-case"])


def _is_wildcard(argument: Any) -> bool:
    return (
        _is_text(argument)
        and "**" not in argument.replace(r"\*", "")
        and not re.search(r"(?<!\\)\\(?![*\\])", argument)
    )


def _is_numeric(argument: Any) -> bool:
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        return False
    operators, limits = argument[::2], argument[1::2]
    if not all(_is_number(limit) and abs(limit) <= LARGEST_NUMBER for limit in limits):
        return False
    if len(operators) == 1:
        return operators[0] in _COMPARISONS
    return operators[0] in (">", ">=") and operators[1] in ("<", "<=") and limits[0] < limits[1]


def _is_network(argument: Any) -> bool:
    try:
        return isinstance(argument, str) and "/" in argument and bool(ipaddress.ip_network(argument, strict=False))
    except ValueError:
        return False


def _is_excluded(argument: Any) -> bool:
    if isinstance(argument, dict):
        ((operator, _),) = argument.items() if len(argument) == 1 else (("", None),)
        return operator in _TEXTUAL and bool(items := _excluded(argument)) and all(
            _ARGUMENTS[operator](item[operator]) for item in items
        )  # fmt: skip
    items = _excluded(argument)
    return bool(items) and (all(map(_is_number, items)) or all(isinstance(item, str) for item in items))


_ARGUMENTS: Mapping[str, Callable[[Any], bool]] = {
    "anything-but": _is_excluded,
    "cidr": _is_network,
    "equals-ignore-case": _is_text,
    "exists": lambda argument: isinstance(argument, bool),
    "numeric": _is_numeric,
    "prefix": _is_text_in_any_case,
    "suffix": _is_text_in_any_case,
    "wildcard": _is_wildcard,
}
