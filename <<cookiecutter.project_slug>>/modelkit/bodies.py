"""Decoding of requests and responses of one content type into rows and predictions, many at a time.

Rows of every content type become text in the schema's columns, so that the same rules apply to all values: those for
CSV files.
"""

import base64
import csv
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from modelkit.schema import FEATURES

Counts = npt.NDArray[np.int64]


def text(bodies: Any, encoding: str) -> Any:
    """Return bodies as text without a byte order mark and without trailing line ends.

    Raises:
        ValueError: A body does not match the encoding.
    """
    if encoding == "base64":
        bodies = pa.array([base64.b64decode(body, validate=True).decode("utf-8") for body in bodies.to_pylist()])
    return pc.utf8_trim(pc.replace_substring(bodies, "\r\n", "\n"), "\n\ufeff")


def headers(bodies: Any, content_type: str, names: Sequence[str]) -> Any:
    """Return the header of each of n CSV bodies: its first line if that names a column, else an empty string."""
    if "csv" not in content_type:
        return pa.array([""] * len(bodies))
    names_one = rf'^(?:[^\n]*,)?"?(?:{"|".join(map(re.escape, names))})"?(?:,|\n|$)'
    first = pc.list_element(pc.split_pattern(bodies, "\n", max_splits=1), 0)
    return pc.if_else(pc.match_substring_regex(first, names_one), first, "")


def is_document(content_type: str) -> bool:
    """Return whether a body of a content type is one JSON document, and not CSV, JSON Lines or without a type."""
    return bool(content_type) and not ("csv" in content_type or _is_lines(content_type))


def rows(bodies: Any, content_type: str, header: str, names: Sequence[str]) -> tuple[Any, Counts]:
    """Return the rows of n requests as an Arrow table of text, and the number of rows of each request.

    Args:
        bodies: Arrow array of n strings.
        content_type: CSV, JSON or JSON Lines.
        header: The header that all bodies have; empty if they have none.
        names: The columns of a row without names; a row with names must have all of them.

    Raises:
        ValueError: A body does not match the content type.
        LookupError: A row lacks a column.
    """
    if "csv" in content_type:
        return _csv_rows(bodies, header, names)
    found: list[list[str | None]] = []
    counts = []
    for document in _documents(bodies, content_type):
        instances = _instances(document)
        found += [_row(row, names) for row in instances]
        counts.append(len(instances))
    columns = zip(*found, strict=True) if found else [()] * len(names)
    return pa.table([pa.array(column, pa.string()) for column in columns], names=names), np.array(counts)


def predictions(bodies: Any, content_type: str) -> tuple[npt.NDArray[np.float64], Counts]:
    """Return the probabilities in n responses, and the number of probabilities in each response.

    Raises:
        ValueError: A body does not match the content type, or a prediction is not a finite number.
        LookupError: A body contains no predictions.
    """
    if "csv" in content_type:
        lines = pc.split_pattern(bodies, "\n")
        values = pc.cast(pc.list_flatten(lines), pa.float64()).to_numpy(zero_copy_only=False)
        counts = pc.list_value_length(lines)
    else:
        answers = [
            [line["prediction"] for line in document] if isinstance(document, list) else document["predictions"]
            for document in _documents(bodies, content_type)
        ]
        values = np.array([float(value) for answer in answers for value in answer])
        counts = pa.array(map(len, answers), pa.int64())
    if not np.isfinite(values).all():
        raise ValueError("not a finite number")
    return values, counts.to_numpy(zero_copy_only=False)


def _csv_rows(bodies: Any, header: str, names: Sequence[str]) -> tuple[Any, Counts]:
    if header:
        bodies = pc.utf8_slice_codeunits(bodies, start=len(header) + 1)
    columns = next(csv.reader([header])) if header else list(names)
    table = arrow_csv.read_csv(
        pa.BufferReader("\n".join(bodies.to_pylist()).encode()),
        read_options=arrow_csv.ReadOptions(column_names=columns),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=len(columns) > 1),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=list(names),
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    counts = pc.add(pc.count_substring(bodies, "\n"), 1).to_numpy().astype(np.int64)
    if len(bodies) == 1:
        counts[0] = table.num_rows  # quoted strings may contain line ends
    if counts.sum() != table.num_rows:
        raise ValueError("not one row per line")
    return table, counts


def _is_lines(content_type: str) -> bool:
    return "lines" in content_type or "ndjson" in content_type


def _documents(bodies: Any, content_type: str) -> list[Any]:
    if _is_lines(content_type):
        return [[json.loads(line) for line in body.split("\n")] for body in bodies.to_pylist()]
    return [json.loads(body) for body in bodies.to_pylist()]


def _instances(document: Any) -> Any:
    """Return the rows of a document: a list, the member `instances`, or one row by column name."""
    if not isinstance(document, dict):
        return document
    return document["instances"] if list(document) == ["instances"] else [document]


def _row(row: Mapping[str, Any] | Sequence[Any], names: Sequence[str]) -> list[str | None]:
    if isinstance(row, Mapping) and list(row) == [FEATURES] and FEATURES not in names:
        row = row[FEATURES]
    values = [row[name] for name in names] if isinstance(row, Mapping) else list(row)
    if len(values) != len(names):
        raise ValueError(f"{len(values)} values")
    return [_as_text(value) for value in values]


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else repr(value)
