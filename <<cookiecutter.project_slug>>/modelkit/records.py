"""Reading of the records of SageMaker's endpoint data capture, many at a time and in blocks of bounded size."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""The exceptions that reading and decoding raise for invalid content."""

BLOCK = 8 << 20
"""The number of bytes to read at a time."""

LONGEST_LINE = 64 << 20
"""The maximum length of a line in bytes; requests and responses of endpoints are smaller."""

Lines = list[tuple[int, bytes]]
"""Lines with their numbers in the file, from 1."""

_BODY = pa.struct([(name, pa.string()) for name in ("observedContentType", "encoding", "data")])
_EVENT = pa.struct([(name, pa.string()) for name in ("inferenceTime", "inferenceId", "eventId")])
_LINE = pa.schema(
    [("captureData", pa.struct([("endpointInput", _BODY), ("endpointOutput", _BODY)])), ("eventMetadata", _EVENT)]
)
_COLUMNS = {
    "time": ("eventMetadata", "inferenceTime"),
    "request_type": ("captureData", "endpointInput", "observedContentType"),
    "request_encoding": ("captureData", "endpointInput", "encoding"),
    "request": ("captureData", "endpointInput", "data"),
    "answer_type": ("captureData", "endpointOutput", "observedContentType"),
    "answer_encoding": ("captureData", "endpointOutput", "encoding"),
    "answer": ("captureData", "endpointOutput", "data"),
    "inference_id": ("eventMetadata", "inferenceId"),
    "event_id": ("eventMetadata", "eventId"),
}
_REQUIRED = ("time", "request_type", "request_encoding", "request")
_ANSWER = ("answer_type", "answer_encoding", "answer")
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"


def blocks(path: Path, size: int = BLOCK) -> Iterator[tuple[Lines, bool]]:
    """Yield the lines of a file that are not blank, in blocks, and whether their last line has its newline.

    A line longer than `LONGEST_LINE` is cut, and not valid UTF-8.

    Args:
        path: The file.
        size: The number of bytes to read at a time.

    Raises:
        OSError: The file cannot be read.
    """
    number, rest = 1, b""
    with path.open("rb") as stream:
        while chunk := stream.read(size):
            *whole, rest = (rest + chunk).split(b"\n")
            if lines := [(number + index, line) for index, line in enumerate(whole) if line.strip()]:
                yield lines, True
            number += len(whole)
            if len(rest) > LONGEST_LINE:
                rest = b"\xff"
    if rest.strip():
        yield [(number, rest)], False


def parse_records(lines: list[bytes]) -> Any:
    """Return n lines of JSON as an Arrow table of n records, as text.

    Columns are the `time` in UTC without the trailing Z, so that times with and without fractions of a second are in
    alphabetical order; the types, encodings and contents of request and answer, those of the answer empty if there is
    none; the caller's `inference_id` and the endpoint's `event_id`, which may be null.

    Raises:
        ValueError: A line is not a record.
    """
    table = parse_json(lines, _LINE)
    found = pa.table({name: pc.struct_field(table[first], rest) for name, (first, *rest) in _COLUMNS.items()})
    unanswered = found["answer"].null_count
    if any(found[name].null_count for name in _REQUIRED) or any(
        found[name].null_count != unanswered for name in _ANSWER
    ):
        raise ValueError("a line is not a record")
    if not pc.all(pc.match_substring_regex(found["time"], _TIME)).as_py():
        raise ValueError("a time is not in UTC")
    for name in _ANSWER:
        found = _replaced(found, name, pc.fill_null(found[name], ""))
    return _replaced(found, "time", pc.utf8_rtrim(found["time"], "Z"))


def parse_json(lines: list[bytes], schema: Any) -> Any:
    """Return n lines of JSON as an Arrow table of n rows with a schema; other members are ignored.

    Raises:
        ValueError: A line is not a JSON object, or a member has another type.
    """
    text = b"\n".join(lines)
    table = arrow_json.read_json(
        pa.BufferReader(text),
        read_options=arrow_json.ReadOptions(block_size=len(text) + 1, use_threads=False),
        parse_options=arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    ).combine_chunks()
    if table.num_rows != len(lines):
        raise ValueError("not one object per line")
    return table


def in_portions(low: int, high: int, read: Callable[[int, int], Any], refuse: Callable[[int], None]) -> Iterator[Any]:
    """Yield the results of `read` for the items from `low` (inclusive) to `high` (exclusive), in the fewest batches.

    Args:
        low: The index of the first item.
        high: The index after the last item.
        read: Reads a range of items, or raises an exception if one cannot be read.
        refuse: Called with the index of each item that cannot be read.
    """
    if low == high:
        return
    try:
        found = read(low, high)
    except UNREADABLE:
        if high - low == 1:
            refuse(low)
            return
        middle = (low + high) // 2
        yield from in_portions(low, middle, read, refuse)
        yield from in_portions(middle, high, read, refuse)
    else:
        yield found


def _replaced(table: Any, name: str, values: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, values)
