"""The data check before training: compare samples of the objects below an S3 prefix with the schema.

It is cheap on purpose: objects are listed, and the start of some is read. The pipeline's first step checks all data, by
rules of the same names.
"""

import codecs
import csv
import io
import itertools
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import boto3

from mlops.base.files import is_data
from mlops.store.objects import relative
from modelkit.contents import START, SUFFIXES, fault_of_header, fault_of_start, notation_message, notation_of
from modelkit.messages import listed

OBJECTS, SAMPLED, REASONS, EXAMPLES = 10_000, 20, 20, 3
"""The maximum of listed objects, of sampled objects, of reasons returned, and of examples in a reason."""
SAMPLE_BYTES, TEXT_BYTES, ROWS = 1 << 18, 1 << 20, 10_000
"""The maximum of bytes read from an object, of text unpacked from it, and of rows checked."""
RESERVE_MILLISECONDS = 10_000
"""The remaining time of the function below which no more objects are read."""

_PARQUET, _TEXT = b"PAR1", (".csv", ".csv.gz")


@dataclass(frozen=True)
class Reason:
    """Why the data does not match the schema.

    Attributes:
        rule: The rule's name.
        key: The object's key, or the prefix if the reason is about all objects.
        message: What is wrong.
    """

    rule: str
    key: str
    message: str


class Result(TypedDict):
    """The response of the function.

    Attributes:
        valid: Whether the data matches the schema.
        objects: The number of objects.
        sampled: The number of objects that were read.
        rows: The number of rows in these.
        reasons: Each `Reason`, at most `REASONS`.
    """

    valid: bool
    objects: int
    sampled: int
    rows: int
    reasons: list[dict[str, str]]


class UnreadableError(Exception):
    """An object is not a table.

    Args:
        rule: The violated rule.
        message: What is wrong with it.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True)
class Sample:
    """The start of an object.

    Attributes:
        header: The names of its columns; empty for a Parquet file, which only the pipeline reads.
        rows: The complete rows.
        whole: Whether these are all rows.
    """

    header: list[str]
    rows: list[list[str]]
    whole: bool


def handler(event: Mapping[str, Any], context: Any) -> Result:
    """Check the data against a schema.

    Args:
        event: The `uri` of the data, and the `schema`: its `columns` (name, type, nullable, minimum,
            maximum, categories, unknown), the names of `ignored` ones, its `notation` and `minimum_rows`, and the
            `number_pattern` of numbers as text.
        context: The Lambda context.

    Returns:
        The result.
    """
    bucket, _, prefix = event["uri"].removeprefix("s3://").partition("/")
    s3, schema = boto3.client("s3"), event["schema"]
    sizes = _sizes(s3, bucket, prefix)
    reasons = [reason for key, size in sizes.items() for reason in _listed_faults(key, size)]
    if not sizes:
        reasons.append(Reason("file_missing", prefix, f"no objects; expected {', '.join(SUFFIXES)}"))
    refused = {reason.key for reason in reasons}
    readable = [key for key in sizes if key not in refused]
    rows, sampled, all_seen = 0, 0, True
    for key in readable[:: math.ceil(len(readable) / SAMPLED) or 1]:
        if context.get_remaining_time_in_millis() < RESERVE_MILLISECONDS:
            break
        try:
            sample = _sample(s3, bucket, key, sizes[key])
        except UnreadableError as error:
            reasons.append(Reason(error.rule, key, str(error)))
            continue
        rows, sampled, all_seen = rows + len(sample.rows), sampled + 1, all_seen and sample.whole
        if sample.header:
            reasons += [Reason(rule, key, message) for rule, message in faults(sample, schema)]
    if all_seen and sampled == len(sizes) > 0 and rows < schema["minimum_rows"]:
        message = f"{rows} rows; at least {schema['minimum_rows']} are required"
        reasons.append(Reason("minimum_rows", prefix, message))
    return {
        "valid": not reasons,
        "objects": len(sizes),
        "sampled": sampled,
        "rows": rows,
        "reasons": [asdict(reason) for reason in reasons[:REASONS]],
    }


def faults(sample: Sample, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the violations of the schema at the start of a CSV file: names of rules, and messages."""
    names, header = [column["name"] for column in schema["columns"]], sample.header
    known, notation = {*names, *schema["ignored"]}, schema["notation"]
    for rule, odd, what in (
        ("missing_column", [name for name in names if name not in header], "missing"),
        ("duplicate_column", [name for name in names if header.count(name) > 1], "in the header twice"),
        ("unexpected_column", [name for name in dict.fromkeys(header) if name not in known], "not in the schema"),
    ):
        if odd:
            yield rule, f"column{'s' if len(odd) > 1 else ''} {listed(odd)}: {what}"
    found: dict[tuple[str, str, str], list[tuple[str, int]]] = {}
    types = {column["name"]: column["type"] for column in schema["columns"]}
    columns = [(column, _meanings(column, notation)) for column in schema["columns"] if column["name"] in header]
    for number, row in enumerate(sample.rows, start=1):
        if len(row) != len(header):
            about = "ragged_row", "", "too few or too many fields"
            found.setdefault(about, []).append((f"{len(row)} instead of {len(header)}", number))
            continue
        values = dict(zip(header, row, strict=True))
        for column, meanings in columns:
            text = values[column["name"]]
            plain = meanings.get(text, text)
            if notation["decimal_comma"] and column["type"] in ("integer", "number"):
                plain = plain.replace(".", "?").replace(",", ".")
            if problem := _problem(column, plain, schema["number_pattern"]):
                rule, what = problem
                found.setdefault((rule, column["name"], what), []).append((text, number))
    explained: dict[str, list[str]] = {}
    for (rule, name, what), wrong in found.items():
        if rule == "type" and (lacking := notation_of({text for text, _ in wrong}, types[name])):
            explained.setdefault(lacking, []).append(name)
            continue
        examples = (f"{repr(text) if name else text:.60} (row {number})" for text, number in wrong[:EXAMPLES])
        rows = f"{len(wrong)} row{'s' if len(wrong) > 1 else ''}"
        subject = f"column '{name}': " if name else ""
        yield rule, f"{subject}{what} in {rows}, for example {'; '.join(examples)}"
    for lacking, names in explained.items():
        yield "type", notation_message(names, lacking)


def _meanings(column: Mapping[str, Any], notation: Mapping[str, Any]) -> dict[str, str]:
    """Return what texts of a notation are in files without one, by text (see `modelkit.schema.Notation`)."""
    found = dict.fromkeys(set(notation["null_values"]) - set(column["categories"]), "")
    if column["type"] == "boolean":
        found |= dict.fromkeys(notation["true_values"], "1") | dict.fromkeys(notation["false_values"], "0")
    return found


def _problem(column: Mapping[str, Any], text: str, number_pattern: str) -> tuple[str, str] | None:
    """Return the violated rule of a value and what is wrong; an empty string is a missing value."""
    kind, minimum, maximum, categories = (column[fact] for fact in ("type", "minimum", "maximum", "categories"))
    if not text:
        return None if column["nullable"] else ("null", "required value missing")
    if kind == "string":
        known = not categories or text in categories or column["unknown"] != "refuse"
        return None if known else ("category", f"not one of {listed(categories)}")
    value = _number(kind, text, number_pattern)
    if value is None:
        return "type", f"not {'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    if minimum is not None and value < minimum:
        return "minimum", f"below the minimum {minimum:g}"
    if maximum is not None and value > maximum:
        return "maximum", f"above the maximum {maximum:g}"
    return None


def _number(kind: str, text: str, pattern: str) -> float | None:
    """Convert a value of a type to a number; None if it is not of the type."""
    if kind == "boolean" and text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    value = float(text) if re.fullmatch(pattern, text) else math.nan
    fits = {"integer": value.is_integer(), "boolean": value in (0, 1)}.get(kind, math.isfinite(value))
    return value if fits else None


def _sizes(s3: Any, bucket: str, prefix: str) -> dict[str, int]:
    """Return the sizes of the data objects by key."""
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": OBJECTS}
    )
    found = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
    return {key: size for key, size in found.items() if is_data(relative(key, f"s3://{bucket}/{prefix}"))}


def _listed_faults(key: str, size: int) -> Iterator[Reason]:
    if not key.endswith(SUFFIXES):
        yield Reason("file_type", key, f"not a data file; expected {', '.join(SUFFIXES)}")
    elif size == 0:
        yield Reason("file_empty", key, "the object has 0 bytes")


def _sample(s3: Any, bucket: str, key: str, size: int) -> Sample:
    """Read the start of an object.

    Raises:
        UnreadableError: It is damaged, or its content does not match its name.
    """

    def read(span: str) -> bytes:
        content: bytes = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={span}")["Body"].read()
        return content

    content = read(f"0-{SAMPLE_BYTES - 1}" if key.endswith(_TEXT) else f"0-{START - 1}")
    if fault := fault_of_start(key, content[:START]):
        raise UnreadableError("file_unreadable", fault)
    if not key.endswith(_TEXT):
        edge = len(_PARQUET)
        if size < 3 * edge or read(f"-{edge}") != _PARQUET:
            raise UnreadableError("file_unreadable", "damaged or not a Parquet file")
        return Sample([], [], whole=False)
    whole = size <= SAMPLE_BYTES
    try:
        if key.endswith(".gz"):
            content, whole = _unzipped(content, whole=whole)
        lines, whole = _lines(content, whole=whole)
    except UnicodeDecodeError as error:
        raise UnreadableError("file_encoding", f"not UTF-8 text ({error.reason})") from error
    except (zlib.error, csv.Error) as error:
        raise UnreadableError(
            "file_unreadable", f"damaged, or its content does not match its name ({error})"
        ) from error
    if not lines or not any(lines[0]):
        missing = "the file has no header" if whole else f"no line ends within {len(content)} bytes"
        raise UnreadableError("file_empty", missing)
    if fault := fault_of_header(lines[0]):
        raise UnreadableError("file_header", fault)
    return Sample(lines[0], [line for line in lines[1:] if line], whole)


def _unzipped(content: bytes, *, whole: bool) -> tuple[bytes, bool]:
    """Return the start of the unpacked content, and whether it is complete."""
    text = b""
    while content:  # concatenated gzip members are one file
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        text += member.decompress(content, TEXT_BYTES - len(text))
        if len(text) >= TEXT_BYTES:
            return text, False
        if whole and not member.eof:
            raise zlib.error("the file is truncated")
        content = member.unused_data.lstrip(b"\0")
    return text, whole


def _lines(content: bytes, *, whole: bool) -> tuple[list[list[str]], bool]:
    """Return the first lines of a CSV file, including its header, and whether these are all."""
    text = codecs.getincrementaldecoder("utf-8-sig")().decode(content, final=whole)
    lines = list(itertools.islice(csv.reader(io.StringIO(text, newline="")), ROWS + 2))
    whole = whole and len(lines) < ROWS + 2
    return (lines, True) if whole else (lines[:-1], False)  # the last line may be incomplete
