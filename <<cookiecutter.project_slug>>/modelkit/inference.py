"""The inference handlers for SageMaker's server for the framework, and for the project's own.

An invalid request raises `ValueError` with the row and the column to correct. Only the standard library, numpy and the
framework are imported, so that a server starts quickly.
"""

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model import algorithm
from model.derive import DERIVED
from model.schema import SCHEMA
from modelkit.derived import completed
from modelkit.messages import LISTED, bounded, listed
from modelkit.schema import FEATURES, FLOAT32_MAXIMUM, INTEGER_LIMIT, NUMBER_PATTERN, OTHER, Column
from modelkit.signature import require_same

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = ("application/jsonlines", "application/x-ndjson")

_SUPPORTED = ", ".join((CSV, JSON, *JSON_LINES))

_INVALID = (ValueError, TypeError, LookupError, OverflowError)
"""The exceptions that decoders raise for invalid values."""

_NAN = float("nan")
_is_number = re.compile(NUMBER_PATTERN).fullmatch
_Decoder = Callable[[Any], float]


def model_fn(model_dir: str) -> Any:
    """Load the model from its folder.

    Raises:
        OtherSchemaError: It was trained with another schema, or with other derived features, than this code's.
        ValueError: There is no model, or `model/algorithm.py` cannot load it.
    """
    require_same(Path(model_dir), SCHEMA, DERIVED)
    try:
        return algorithm.load(Path(model_dir))
    except Exception as error:  # the owner's code may raise anything
        reason = "".join(str(error).strip().splitlines()[:1])
        raise ValueError(
            f"model/algorithm.py cannot load the model in {model_dir}: {type(error).__name__}: {reason}"
        ) from error


def input_fn(body: bytes | bytearray | str, content_type: str) -> npt.NDArray[np.float32]:
    """Decode a request of n rows into an (n, f + d) matrix of features in the model's order, NaN for missing values.

    A row of a request has the schema's f features; the d derived ones are computed. The project's server calls
    `decode_fn` for each request and `assemble_fn` once for many: change these two rather than this function.

    Args:
        body: CSV with or without a header; JSON: an object by column name, or a list or `{"instances": [...]}` of rows;
            or JSON Lines, a row per line. A row is a list, an object by column name or `{"features": [...]}`.
        content_type: `text/csv`, `application/json`, `application/jsonlines` or `application/x-ndjson`.

    Raises:
        ValueError: The request does not match the content type, or a value is not valid for its column.
    """
    return assemble_fn(decode_fn(body, content_type))


def decode_fn(body: bytes | bytearray | str, content_type: str) -> list[list[float]]:
    """Decode a request (see `input_fn`) into n rows of f values.

    Raises:
        ValueError: The request does not match the content type, or a value is not valid for its column.
    """
    try:
        return _decoded_request(body, content_type)
    except ValueError as error:
        raise ValueError(bounded(str(error))) from error


def _decoded_request(body: bytes | bytearray | str, content_type: str) -> list[list[float]]:
    kind = media_type(content_type)
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the request is not UTF-8 text: byte {error.start} is invalid") from error
    text = text.removeprefix("\ufeff")
    if kind == CSV:
        values = _csv_values(text)
    elif kind == JSON:
        values = _values(_instances(_load(text, "the request")), _JSON_DECODERS, _KNOWN)
    elif kind in JSON_LINES:
        rows = (_load(line, f"line {number}") for number, line in enumerate(_lines(text), 1))
        values = _values(rows, _JSON_DECODERS, _KNOWN)
    else:
        raise ValueError(f"content type '{content_type:.60}' is not supported; use {_SUPPORTED}")
    if not values:
        raise ValueError("the request has no rows")
    return values


def assemble_fn(rows: list[list[float]]) -> npt.NDArray[np.float32]:
    """Return the (n, f + d) feature matrix of n decoded rows of f values, from one or more requests."""
    return completed(np.array(rows, dtype=np.float32), SCHEMA.feature_names, DERIVED)


def predict_fn(data: npt.NDArray[np.float32], model: Any) -> npt.NDArray[np.float32]:
    """Return the probability that the target is true for each of n rows: n values."""
    return algorithm.predict(data, model)


def output_fn(prediction: npt.NDArray[np.float32], accept: str) -> str:
    """Encode n probabilities: one per line in CSV and JSON Lines, `{"predictions": [...]}` in JSON.

    Raises:
        ValueError: The media type is not supported.
    """
    kind = media_type(accept)
    values = prediction.tolist()
    if kind == CSV:
        return "\n".join(map(repr, values)) + "\n"
    if kind in (JSON, "*/*", "application/*", ""):
        return json.dumps({"predictions": values})
    if kind in JSON_LINES:
        return "".join(f'{{"prediction": {value!r}}}\n' for value in values)
    raise ValueError(f"response type '{accept:.60}' is not supported; accept one of {_SUPPORTED}")


@lru_cache
def media_type(header: str | None) -> str:
    """Return the media type in a Content-Type or Accept header, without parameters, in lower case."""
    return (header or "").partition(";")[0].strip().lower()


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").rstrip("\n")
    return text.split("\n") if text else []


def _csv_values(text: str) -> list[list[float]]:
    lines = _lines(text)
    if lines and lines[0] == _HEADER:
        del lines[0]
    if all(map(_is_plain, lines)):
        return [_plain_values(line) for line in lines]
    return _values(_csv_rows(lines, '"' in text), _TEXT_DECODERS, None)


def _plain_values(line: str) -> list[float]:
    """Decode a row that matches `_is_plain`, whose values the pattern has checked."""
    texts = line.split(",")
    for position, codes in _CODES:
        texts[position] = codes[texts[position]]
    return [float(text) if text else _NAN for text in texts]


def _csv_rows(lines: list[str], quotes: bool) -> Iterable[Sequence[str]]:
    try:
        rows = list(csv.reader(lines, strict=True)) if quotes else [line.split(",") for line in lines]
    except csv.Error as error:
        raise ValueError(f"the request is not CSV: {error}") from error
    if _KNOWN.isdisjoint(rows[0]):
        return rows
    header = rows.pop(0)
    _check_names(header, "the header")
    order = [header.index(name) for name in SCHEMA.feature_names]
    for number, row in enumerate(rows, 1):
        _check_length(row, number, len(header))
    return [[row[position] for position in order] for row in rows]


def _load(text: str, where: str) -> Any:
    try:
        return _parse_json(text)
    except RecursionError as error:
        raise ValueError(f"{where} is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from error


def _instances(document: Any) -> list[Any]:
    instances = document
    if isinstance(document, dict):
        if list(document) == ["instances"]:
            instances = document["instances"]
        elif _KNOWN.isdisjoint(document):
            raise ValueError(
                'the JSON object must be a row, by column name, or have one member, "instances": a list of rows'
            )
        else:
            instances = [document]
    if not isinstance(instances, list):
        raise ValueError("the rows must be a list")
    return instances


def _values(rows: Iterable[Any], decoders: Sequence[_Decoder], known: frozenset[str] | None) -> list[list[float]]:
    return [_decoded(row, number, decoders, known) for number, row in enumerate(rows, 1)]


def _decoded(row: Any, number: int, decoders: Sequence[_Decoder], known: frozenset[str] | None) -> list[float]:
    """Decode one row: a sequence in the model's order or, if `known` is given, an object by column name.

    AWS's built-in algorithms take `{"features": [...]}`
    (https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html).
    """
    if isinstance(row, dict) and len(row) == 1 and FEATURES in row and FEATURES not in _KNOWN:
        row = row[FEATURES]
    if known is not None and isinstance(row, dict):
        if row.keys() != known:
            _check_names(list(row), f"row {number}")
        row = [row[name] for name in SCHEMA.feature_names]
    elif not isinstance(row, list):
        raise ValueError(f"row {number} is neither a list of values nor an object")
    _check_length(row, number, len(SCHEMA.features))
    try:
        return [decode(value) for decode, value in zip(decoders, row, strict=True)]
    except _INVALID:
        raise ValueError(_reason(row, number, decoders)) from None


def _reason(row: Sequence[Any], number: int, decoders: Sequence[_Decoder]) -> str:
    """Return which value of a row cannot be decoded, and why."""
    for column, decode, value in zip(SCHEMA.features, decoders, row, strict=True):
        try:
            decode(value)
        except _INVALID:
            place = f"row {number}, column '{column.name:.60}'"
            if value == "" and column.nullable:
                return f"{place}: an empty string is not a missing value: send null"
            if value is None or value == "":
                return f"{place}: the value is missing, and the column is not nullable"
            return f"{place}: {value!r:.60} is not {column.expected}"
    raise AssertionError(f"row {number} was rejected, but all of its values are valid")


def _check_length(row: Sequence[Any], number: int, expected: int) -> None:
    if len(row) != expected:
        columns = listed(SCHEMA.feature_names)
        raise ValueError(f"row {number} has {len(row)} values; expected {expected}; the columns are {columns}")


def _check_names(names: list[str], where: str) -> None:
    times = Counter(names)
    missing = [name for name in SCHEMA.feature_names if name not in times]
    unknown = [f"{name!r:.40}" for name in names if name not in _KNOWN and SCHEMA.extra_fields == "refuse"]
    repeated = [name for name in SCHEMA.feature_names if times[name] > 1]
    found = {"lacks": missing, "has unknown": unknown, "repeats": repeated}
    problems = {what: columns for what, columns in found.items() if columns}
    if problems:
        each = LISTED // len(problems)
        told = " and ".join(f"{what} {listed(columns, each)}" for what, columns in problems.items())
        raise ValueError(f"{where} {told}; the model has {len(_KNOWN)} columns")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a duplicate member")
    return members


def _number_text(text: str) -> float:
    if not _is_number(text):
        raise ValueError
    return float(text)


def _truth_text(text: str) -> float:
    truth = {"true": 1.0, "false": 0.0}.get(text.lower())
    return _number_text(text) if truth is None else truth


def _json_number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:  # a bool is an int, but not a number in JSON
        raise ValueError
    return float(value)


def _json_truth(value: Any) -> float:
    return float(value) if type(value) is bool else _json_number(value)


def _is_whole(value: float) -> bool:
    return value.is_integer() and abs(value) < INTEGER_LIMIT


def decoder(column: Column, number: _Decoder, truth: _Decoder, missing: str | None) -> _Decoder:
    """Return the function that decodes one value of a column.

    Args:
        column: The column's declaration.
        number: Decodes a number in the request's format.
        truth: Decodes a boolean in the request's format.
        missing: The missing value in the request's format.
    """
    words: dict[Any, float] = {category: float(code) for code, category in enumerate(column.categories)}
    if column.nullable:
        words[missing] = _NAN
    if column.type == "string" and column.unknown == "refuse":
        return words.__getitem__
    if column.type == "string":
        new = words[OTHER] if column.unknown == "other" else _NAN

        def category(value: Any) -> float:
            if value in words:
                return words[value]
            if type(value) is str and value:
                return new
            raise ValueError

        return category
    read = truth if column.type == "boolean" else number
    fits = {"integer": _is_whole, "number": math.isfinite, "boolean": (0.0, 1.0).__contains__}[column.type]

    def decode(value: Any) -> float:
        if value in words:
            return words[value]
        result = read(value)
        if -FLOAT32_MAXIMUM <= result <= FLOAT32_MAXIMUM and fits(result):
            return result
        raise ValueError

    return decode


def _plain_pattern(column: Column) -> str:
    """Return a pattern for common notations of a column's values in CSV; every match is valid."""
    pattern = {
        "boolean": "[01]",
        "integer": "-?[0-9]{1,18}",
        "number": r"-?[0-9]{1,30}(?:\.[0-9]*)?",
        "string": "|".join(re.escape(category) for category in column.categories if not set(category) & set(',"')),
    }[column.type]
    return f"(?:{pattern}){'?' if column.nullable else ''}"


_HEADER = ",".join(SCHEMA.feature_names)
_CODES = [
    (position, {"": ""} | {category: str(code) for code, category in enumerate(column.categories)})
    for position, column in enumerate(SCHEMA.features)
    if column.categories
]
_is_plain = re.compile(",".join(map(_plain_pattern, SCHEMA.features))).fullmatch
_KNOWN = frozenset(SCHEMA.feature_names)
_TEXT_DECODERS = tuple(decoder(column, _number_text, _truth_text, "") for column in SCHEMA.features)
_JSON_DECODERS = tuple(decoder(column, _json_number, _json_truth, None) for column in SCHEMA.features)
_parse_json = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_distinct).decode
