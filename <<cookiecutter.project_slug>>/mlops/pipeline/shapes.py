"""Check JSON values against the shapes of the SageMaker API in botocore's service model."""

import functools
import re
import unicodedata
from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

from mlops.pipeline.definition import is_expression, path_parts


class Finding(NamedTuple):
    """A problem inside a value: where (`ProcessingInputs[0].InputName`) and what."""

    path: str
    message: str


# The expression types that the pipeline service accepts for an API type.
_FITTING = {
    "string": {"String"},
    "integer": {"Integer"},
    "long": {"Integer"},
    "float": {"Float", "Integer"},
    "double": {"Float", "Integer"},
    "boolean": {"Boolean"},
}
_TYPE_OF_SHAPE = {"string": "String", "integer": "Integer", "long": "Integer", "float": "Float", "double": "Float",
                  "boolean": "Boolean", "timestamp": "String"}  # fmt: skip
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "long": (int,), "float": (int, float), "double": (int, float),
    "boolean": (bool,), "structure": (dict,), "map": (dict,), "list": (list,),
}  # fmt: skip
_BEYOND_PLANE_0 = r"\U00010000-\U0010ffff"
# Some patterns of the model end in a repetition of the end anchor; min and max give the lengths as well.
_REPEATED_END = re.compile(r"\$\{\d+,\d+\}$")
# CreateProcessingJob refuses an empty one, which the model allows: https://github.com/aws/sagemaker-python-sdk/issues/3758
_NEVER_EMPTY = frozenset({"ContainerArgument", "ContainerEntrypointString"})


@functools.cache
def service_model() -> Any:
    """Return botocore's model of the SageMaker API."""
    from botocore.loaders import Loader  # takes a tenth of a second, which a run from the cache does not need
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def input_shape(operation: str) -> Any:
    """Return the shape of an operation's request."""
    return service_model().operation_model(operation).input_shape


def output_shape(operation: str) -> Any:
    """Return the shape of an operation's response."""
    return service_model().operation_model(operation).output_shape


def check(
    value: Any, shape: Any, type_of: Callable[[Any], str | None], *, path: str = "", optional: Container[str] = ()
) -> Iterator[Finding]:
    """Yield what is wrong with a value of a given shape.

    Args:
        value: A JSON value, which may contain pipeline expressions.
        shape: The botocore shape that it should have.
        type_of: The type of an expression (String, Integer, Float, Boolean, or a botocore type name); None if unknown.
        path: The path of the value, for the findings.
        optional: Required top-level members that may be missing because the pipeline service sets them.
    """
    kind = shape.type_name
    if is_expression(value):
        found = type_of(value)
        if found is not None and found not in _FITTING.get(kind, {kind}):
            advice = " (use .to_string())" if kind == "string" and found in ("Integer", "Float", "Boolean") else ""
            yield Finding(path, f"an expression of type {found} where the API expects type {kind}{advice}")
        return
    if not _is_of(value, kind):
        yield Finding(path, f"{value!r} where the API expects type {kind}")
    elif kind == "structure":
        yield from _check_structure(value, shape, type_of, path, optional)
    elif kind == "list":
        yield from _check_bounds(len(value), shape, path, "entries")
        for index, entry in enumerate(value):
            yield from check(entry, shape.member, type_of, path=f"{path}[{index}]")
    elif kind == "map":
        yield from _check_bounds(len(value), shape, path, "entries")
        for key, entry in value.items():
            yield from check(key, shape.key, type_of, path=f"{path}.{key} (the key)")
            yield from check(entry, shape.value, type_of, path=f"{path}.{key}")
    elif kind == "string":
        yield from _check_text(value, shape, path)
    elif kind in ("integer", "long", "float", "double"):
        yield from _check_bounds(value, shape, path, "")


def computed(value: Any, shape: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every pipeline expression inside a value of a given shape: path, expression, and shape of its result.

    Members that the shape does not have are left out: the definition may come from a newer botocore.
    """
    if is_expression(value):
        yield path, value, shape
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from computed(entry, shape.member, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, entry in value.items():
            member = shape.value if shape.type_name == "map" else shape.members.get(key)
            if member:
                yield from computed(entry, member, f"{path}.{key}" if path else key)


def _is_of(value: Any, kind: str) -> bool:
    expected = _PYTHON_TYPES.get(kind, (object,))
    return isinstance(value, expected) and (kind == "boolean" or not isinstance(value, bool))


def _check_structure(
    value: dict[str, Any], shape: Any, type_of: Callable[[Any], str | None], path: str, optional: Container[str]
) -> Iterator[Finding]:
    prefix = f"{path}." if path else ""
    for key, entry in value.items():
        if key in shape.members:
            yield from check(entry, shape.members[key], type_of, path=f"{prefix}{key}")
        else:
            yield Finding(f"{prefix}{key}", f"the API's {shape.name} has no member of this name")
    for key in shape.required_members:
        if key not in value and key not in optional:
            yield Finding(f"{prefix}{key}", "this required member is missing")


def _check_bounds(size: float, shape: Any, path: str, unit: str) -> Iterator[Finding]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        yield Finding(path, f"{size} {unit} where the API expects {bounds}".replace("  ", " "))


def _check_text(value: str, shape: Any, path: str) -> Iterator[Finding]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        yield Finding(path, f"{value!r} is not one of the API's choices: {_shortened(choices)}")
        return
    yield from _check_bounds(len(value), shape, path, "characters")
    if not value and shape.name in _NEVER_EMPTY:
        yield Finding(path, "an empty string where the API expects at least 1 character")
    pattern = shape.metadata.get("pattern")
    if pattern and not translated(pattern).fullmatch(value):
        wrong = [character for character in dict.fromkeys(value) if not translated(pattern).fullmatch(character)]
        fits = len(wrong) < len(set(value))
        what = f"the API does not allow {' '.join(map(repr, wrong))} in it; " if fits else ""
        yield Finding(path, f"{what}{value!r} does not match the API's pattern {pattern}")


def _shortened(choices: list[str]) -> str:
    return ", ".join(choices[:8]) + (", ..." if len(choices) > 8 else "")


@functools.cache
def translated(pattern: str) -> re.Pattern[str]:
    """Translate a pattern of the service model (ECMA 262 with Unicode classes) to Python.

    Unicode classes are exact in the Basic Multilingual Plane and match every character beyond it.
    """
    pattern = _REPEATED_END.sub("", pattern)
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", _BEYOND_PLANE_0).replace(r"\p{Alnum}", "a-zA-Z0-9")
    pattern = re.sub(r"\\p\{(\w)\}", lambda match: _characters(match[1]), pattern)
    return re.compile(pattern, re.DOTALL)


@functools.cache
def _characters(category: str) -> str:
    """Return the characters of a Unicode general category (L, M, N, P, S or Z) for use inside brackets."""
    ranges: list[list[int]] = []
    for code in range(0x10000):
        if unicodedata.category(chr(code))[0] != category:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(rf"\u{first:04x}-\u{last:04x}" for first, last in ranges) + _BEYOND_PLANE_0


def type_at(shape: Any, path: str) -> str | None:
    """Return the type of the member at a property path of a response shape.

    List entries may be addressed by index or, as the pipeline service does for named entries, by name.

    Returns:
        String, Integer, Float, Boolean, or a botocore type name; None if the path does not exist.
    """
    for part in path_parts(path):
        if shape.type_name == "structure" and part in shape.members:
            shape = shape.members[part]
        elif shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map" and isinstance(part, str):
            shape = shape.value
        else:
            return None
    kind: str = shape.type_name
    return _TYPE_OF_SHAPE.get(kind, kind)
