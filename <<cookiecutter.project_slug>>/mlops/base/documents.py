"""Read JSON documents from files that may be torn, edited or damaged: whatever is wrong is one error with its remedy.

Documents are strict JSON in UTF-8, without NaN, with numbers that fit 64 bits. The structure that a document must have
is a dataclass, a TypedDict, or another annotation. Dataclasses have no further members; a TypedDict may have more.
"""

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from mlops.base.errors import DamagedError, MlopsError

LARGEST_BYTES = 64 * 1024 * 1024
"""The size of the largest document: a manifest of half a million objects has about as much."""

DEEPEST = 100
"""The number of levels of the deepest document."""

_LONGEST_NUMBER = 20
_LONGEST_SHOWN = 60
# Python decodes undecodable bytes of file names to other surrogates, which documents may therefore contain.
_INVALID = re.compile("[\ud800-\udc7f\udd00-\udfff]")

T = TypeVar("T")


def read_document(path: Path, shape: type[T], what: str, remedy: str) -> T:
    """Read a JSON file.

    Args:
        path: The file.
        shape: The structure that it must have; members that are dataclasses, times and paths become such objects.
        what: What the file is, for the message ("the state of run 2026…").
        remedy: What to do when it is missing or damaged.

    Raises:
        MlopsError: The file is missing, too large, or not such a document.
    """
    return parse_document(read_content(path, what, remedy), shape, f"{what} is damaged: {path}", remedy)


def read_content(path: Path, what: str, remedy: str) -> bytes:
    """Return the content of a file that is not larger than documents are (see `read_document`).

    Raises:
        MlopsError: The file is missing or too large, or cannot be read.
    """
    try:
        return _content(path)
    except FileNotFoundError:
        raise MlopsError(f"{what} is missing: {path}.", remedy) from None
    except OSError as error:
        raise DamagedError(f"{what} cannot be read: {path}: {error.strerror or error}.", remedy) from None


def parse_document(content: bytes | str, shape: type[T], damaged: str, remedy: str) -> T:
    """Parse a JSON document (see `read_document`).

    Args:
        content: The document.
        shape: The structure that it must have.
        damaged: The start of the message if it is damaged ("The definition is not valid"); the reason follows it.
        remedy: What to do then.

    Raises:
        MlopsError: It is not such a document.
    """
    try:
        value = _strict(content)
        result: T = conform(value, shape)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DamagedError(f"{damaged} ({reason}).", remedy) from None
    return result


def _content(path: Path) -> bytes:
    """Return the content of a regular file, which is not too large.

    Raises:
        OSError: It cannot be read.
    """
    # A named pipe without a writer would block.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a file")
        if status.st_size > LARGEST_BYTES:
            raise OSError(f"it has {status.st_size} bytes, more than the {LARGEST_BYTES} that are allowed")
        return stream.read()


def _strict(content: bytes | str) -> Any:
    """Parse strict JSON.

    Raises:
        ValueError: It is not UTF-8 or not JSON, is nested too deeply, or has a number or a character that is refused.
        RecursionError: It is nested too deeply for the parser.
    """
    text = content.decode() if isinstance(content, bytes) else content
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    if "\\ud" in text.lower() and _INVALID.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it has half of a surrogate pair")
    level = [value]
    for _ in range(DEEPEST):
        members = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [member for each in members for member in each if isinstance(member, dict | list)]
        if not level:
            return value
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.{_LONGEST_SHOWN}} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def conform(value: Any, shape: Any, place: str = "") -> Any:
    """Return a value as the structure that it must have.

    Args:
        value: A JSON value.
        shape: The structure.
        place: The dotted path of the value in its document.

    Raises:
        ValueError: It has another one; the message names the member.
    """
    origin, arguments = get_origin(shape), get_args(shape)
    if shape in (Any, object):
        return value
    if origin in (Union, UnionType):
        return _one_of(value, arguments, place)
    if origin is Literal:
        if value not in arguments or type(value) not in map(type, arguments):
            _differs(value, f"one of {', '.join(map(repr, arguments))}", place)
        return value
    if origin is tuple and arguments[-1] is not Ellipsis:
        if len(_list(value, place)) != len(arguments):
            _differs(value, f"a list of {len(arguments)}", place)
        return tuple(conform(each, arguments[n], _below(place, n)) for n, each in enumerate(value))
    if origin in (list, tuple, Sequence):
        entries = [conform(each, arguments[0], _below(place, n)) for n, each in enumerate(_list(value, place))]
        return entries if origin is list else tuple(entries)
    if origin in (dict, Mapping):
        return {name: conform(each, arguments[1], _below(place, name)) for name, each in _object(value, place).items()}
    if is_typeddict(shape):
        found = _object(value, place)
        _require(found, shape.__required_keys__, place)
        known = _hints(shape)
        return {name: conform(each, known.get(name, Any), _below(place, name)) for name, each in found.items()}
    if is_dataclass(shape):
        return _dataclass(_object(value, place), shape, place)
    return _scalar(value, shape, place)


def _one_of(value: Any, shapes: Sequence[Any], place: str) -> Any:
    *others, last = sorted(shapes, key=lambda shape: shape is not NoneType)
    for shape in others:
        with suppress(ValueError):
            return conform(value, shape, place)
    return conform(value, last, place)


def _dataclass(value: dict[str, Any], shape: Any, place: str) -> Any:
    declared = {field.name: field for field in fields(shape) if field.init}
    needed = {name for name, field in declared.items() if field.default is field.default_factory is MISSING}
    _require(value, needed, place)
    if unknown := sorted(set(value) - set(declared)):
        raise ValueError(f"`{_below(place, unknown[0])}` is unknown")
    known = _hints(shape)
    return shape(**{name: conform(each, known[name], _below(place, name)) for name, each in value.items()})


def _scalar(value: Any, shape: Any, place: str) -> Any:
    if shape is datetime:
        return _time(value, place)
    if shape is Path:
        if not isinstance(value, str) or not is_path(value):
            _differs(value, "a path", place)
        return Path(value)
    if shape is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, shape) or (shape is not bool and isinstance(value, bool)):
        _differs(value, _NAMES.get(shape, shape.__name__), place)
    return value


_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def _time(value: Any, place: str) -> datetime:
    moment = None
    with suppress(TypeError, ValueError):
        moment = datetime.fromisoformat(value)
    if moment is None or moment.tzinfo is None:
        _differs(value, "a time with its zone, ISO 8601", place)
    return moment


def is_path(text: str) -> bool:
    """Return whether a text may be a path: it has no null character, and can be encoded."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _differs(value, "an object", place)
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        _differs(value, "a list", place)
    return value


def _require(value: Mapping[str, Any], names: Any, place: str) -> None:
    if missing := sorted(set(names) - set(value)):
        raise ValueError(f"`{_below(place, missing[0])}` is missing")


def _below(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _differs(value: Any, wanted: str, place: str) -> NoReturn:
    shown = json.dumps(value)
    shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
    raise ValueError(f"`{place}` is {shown}, not {wanted}" if place else f"it is {shown}, not {wanted}")


_hints = cache(get_type_hints)
