"""The handlers with which a server answers requests: SageMaker's XGBoost server, or the project's own.

A request that cannot be answered raises `ValueError` with the row and the column: whatever a client sends, it is told
what to change. Only the standard library, numpy and xgboost are imported, so that a server starts at once.
"""

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from model.derive import DERIVED, FEATURE_NAMES, completed
from model.schema import FLOAT32_MAXIMUM, INTEGER_LIMIT, NUMBER_PATTERN, SCHEMA, Column

MODEL_FILE = "model.ubj"
"""The booster, within the model's folder."""

ENCODING_ATTRIBUTE = "encoding"
"""The attribute of the booster that keeps the schema's encoding."""

CSV = "text/csv"
JSON = "application/json"
JSON_LINES = ("application/jsonlines", "application/x-ndjson")

_INVALID = (ValueError, TypeError, LookupError, OverflowError)
"""What a decoder raises for a value that its column cannot have."""


class OtherSchemaError(ValueError):
    """A model that was made under another schema, or with other derived features, than this code's."""


_is_number = re.compile(NUMBER_PATTERN).fullmatch
_Decoder = Callable[[Any], float]


def model_fn(model_dir: str) -> xgboost.Booster:
    """Load the model from its folder.

    Raises:
        OtherSchemaError: It was made under another schema, or with other derived features, than this code's.
        ValueError: There is no model, or it is damaged.
    """
    path = Path(model_dir) / MODEL_FILE
    if not path.is_file():
        raise ValueError(f"there is no {MODEL_FILE} in {model_dir}")
    booster = xgboost.Booster({"nthread": int(os.environ.get("OMP_NUM_THREADS", "1"))})
    try:
        booster.load_model(path)
    except xgboost.core.XGBoostError as error:
        raise ValueError(f"{path} is not an XGBoost model: {str(error).splitlines()[-1]}") from error
    names = tuple(booster.feature_names or ())
    if names != FEATURE_NAMES:
        raise OtherSchemaError(f"it was trained on other features: {_difference(names)}")
    if booster.attr(ENCODING_ATTRIBUTE) != SCHEMA.encoding:
        raise OtherSchemaError("it was trained with other types or categories than the schema's")
    return booster


def input_fn(body: bytes | bytearray | str, content_type: str) -> npt.NDArray[np.float32]:
    """Turn a request of n rows into an (n, f + d) matrix of features in the model's order, NaN for a missing value.

    A row of a request has the schema's f features; the d derived ones are computed.

    Args:
        body: CSV with or without a header; JSON `{"instances": [...]}` or a list, of rows or of objects by column name;
            or JSON Lines, a row or an object on each line.
        content_type: `text/csv`, `application/json`, `application/jsonlines` or `application/x-ndjson`.

    Raises:
        ValueError: The request is not what the content type says, or a value is not one its column can have.
    """
    kind = media_type(content_type)
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"the request is not UTF-8 text: byte {error.start} is invalid") from error
    text = text.removeprefix("\ufeff")
    if kind == CSV:
        rows = _csv_rows(text)
    elif kind == JSON:
        rows = _instances(_load(text, "the request"))
    elif kind in JSON_LINES:
        rows = (_load(line, f"line {number}") for number, line in enumerate(_lines(text), 1))
    else:
        raise ValueError(f"content type '{content_type}' is not supported; use {', '.join((CSV, JSON, *JSON_LINES))}")
    decoders, known = (_TEXT_DECODERS, None) if kind == CSV else (_JSON_DECODERS, _KNOWN)
    values = [_decoded(row, number, decoders, known) for number, row in enumerate(rows, 1)]
    if not values:
        raise ValueError("the request holds no row")
    return completed(np.array(values, dtype=np.float32), SCHEMA.feature_names, DERIVED)


def predict_fn(data: npt.NDArray[np.float32], model: xgboost.Booster) -> npt.NDArray[np.float32]:
    """Return for each of n rows the probability that the target is true, n values."""
    return np.asarray(model.inplace_predict(data))


def output_fn(prediction: npt.NDArray[np.float32], accept: str) -> str:
    """Write n probabilities: a line for each in CSV and JSON Lines, `{"predictions": [...]}` in JSON.

    Raises:
        ValueError: The client accepts none of these.
    """
    kind = media_type(accept)
    values = prediction.tolist()
    if kind == CSV:
        return "\n".join(map(repr, values)) + "\n"
    if kind in (JSON, "*/*", "application/*", ""):
        return json.dumps({"predictions": values})
    if kind in JSON_LINES:
        return "".join(f'{{"prediction": {value!r}}}\n' for value in values)
    raise ValueError(f"'{accept}' cannot be answered; accept one of {', '.join((CSV, JSON, *JSON_LINES))}")


def media_type(header: str | None) -> str:
    """Return the media type of a Content-Type or Accept header, without parameters, in lower case."""
    return (header or "").partition(";")[0].strip().lower()


def _difference(names: Sequence[str]) -> str:
    """Say how a model's features differ from those of this code."""
    lacking = [name for name in FEATURE_NAMES if name not in names]
    unknown = [name for name in names if name not in FEATURE_NAMES]
    parts = [f"{what} {_few(some)}" for what, some in (("without", lacking), ("with", unknown)) if some]
    return " and ".join(parts) or "in another order"


def _few(names: list[str]) -> str:
    """List some of the names: a job's failure message has little room."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").rstrip("\n")
    return text.split("\n") if text else []


def _csv_rows(text: str) -> Iterable[Sequence[str]]:
    lines = _lines(text)
    if not lines:
        return []
    try:
        rows = list(csv.reader(lines, strict=True)) if '"' in text else [line.split(",") for line in lines]
    except csv.Error as error:
        raise ValueError(f"the request is not CSV: {error}") from error
    if _KNOWN.isdisjoint(rows[0]):
        return rows
    header = rows.pop(0)
    _check_names(header, "the header")
    order = [header.index(name) for name in SCHEMA.feature_names]
    for number, row in enumerate(rows, 1):
        _check_length(row, number)
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
        if list(document) != ["instances"]:
            raise ValueError('the JSON object must have one member, "instances": a list of rows or of objects')
        instances = document["instances"]
    if not isinstance(instances, list):
        raise ValueError("the rows must be a list")
    return instances


def _decoded(row: Any, number: int, decoders: Sequence[_Decoder], known: frozenset[str] | None) -> list[float]:
    """Decode one row: a sequence in the model's order or, where `known` is given, also an object by column name."""
    if known is not None and isinstance(row, dict):
        if row.keys() != known:
            _check_names(list(row), f"row {number}")
        row = [row[name] for name in SCHEMA.feature_names]
    elif not isinstance(row, list):
        raise ValueError(f"row {number} is neither a list of values nor an object")
    _check_length(row, number)
    try:
        return [decode(value) for decode, value in zip(decoders, row, strict=True)]
    except _INVALID:
        raise ValueError(_complaint(row, number, decoders)) from None


def _complaint(row: Sequence[Any], number: int, decoders: Sequence[_Decoder]) -> str:
    """Find the value of a row that cannot be decoded and say why."""
    for column, decode, value in zip(SCHEMA.features, decoders, row, strict=True):
        try:
            decode(value)
        except _INVALID:
            place = f"row {number}, column '{column.name}'"
            if value == "" and column.nullable:
                return f"{place}: an empty text is not a missing value: send null"
            if value is None or value == "":
                return f"{place}: the value is missing, and the column is not nullable"
            expected = f"one of {', '.join(column.categories)}" if column.categories else f"of type {column.type}"
            return f"row {number}, column '{column.name}': {value!r:.60} is not {expected}"
    raise AssertionError(f"row {number} was refused, yet each of its values is accepted")


def _check_length(row: Sequence[Any], number: int) -> None:
    if len(row) != len(SCHEMA.features):
        raise ValueError(
            f"row {number} has {len(row)} values; expected {len(SCHEMA.features)}: {', '.join(SCHEMA.feature_names)}"
        )


def _check_names(names: list[str], where: str) -> None:
    missing = [name for name in SCHEMA.feature_names if name not in names]
    unknown = [f"{name!r:.60}" for name in names if name not in _KNOWN]
    repeated = [name for name in SCHEMA.feature_names if names.count(name) > 1]
    problems = [
        f"{what} {', '.join(columns[:10])}"
        for what, columns in (("lacks", missing), ("has unknown", unknown), ("repeats", repeated))
        if columns
    ]
    if problems:
        raise ValueError(f"{where} {' and '.join(problems)}; the columns are {', '.join(SCHEMA.feature_names)}")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object names a member twice")
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


def _decoder(column: Column, number: _Decoder, truth: _Decoder, missing: str | None) -> _Decoder:
    """Return the function that decodes one value of a column.

    Args:
        column: The column's declaration.
        number: Reads a number as the format writes it.
        truth: Reads a boolean as the format writes it.
        missing: What stands for a missing value in the format.
    """
    words: dict[Any, float] = {category: float(code) for code, category in enumerate(column.categories)}
    if column.nullable:
        words[missing] = float("nan")
    if column.type == "string":
        return words.__getitem__
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


_KNOWN = frozenset(SCHEMA.feature_names)
_TEXT_DECODERS = tuple(_decoder(column, _number_text, _truth_text, "") for column in SCHEMA.features)
_JSON_DECODERS = tuple(_decoder(column, _json_number, _json_truth, None) for column in SCHEMA.features)
_parse_json = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_distinct).decode
