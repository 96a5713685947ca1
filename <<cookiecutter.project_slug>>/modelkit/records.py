"""Reading of the records of SageMaker's endpoint data capture, many at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
"""The exceptions that reading and decoding raise for invalid content."""

_BODY = pa.struct([(name, pa.string()) for name in ("observedContentType", "encoding", "data")])
_LINE = pa.schema(
    [
        ("captureData", pa.struct([("endpointInput", _BODY), ("endpointOutput", _BODY)])),
        ("eventMetadata", pa.struct([(name, pa.string()) for name in ("inferenceTime", "inferenceId")])),
    ]
)
_COLUMNS = {
    "time": ("eventMetadata", "inferenceTime"),
    "request_type": ("captureData", "endpointInput", "observedContentType"),
    "request_encoding": ("captureData", "endpointInput", "encoding"),
    "request": ("captureData", "endpointInput", "data"),
    "answer_type": ("captureData", "endpointOutput", "observedContentType"),
    "answer_encoding": ("captureData", "endpointOutput", "encoding"),
    "answer": ("captureData", "endpointOutput", "data"),
}


def parse_lines(lines: list[bytes]) -> Any:
    """Return n lines of JSON as an Arrow table of n records: their time, request, answer and `id`, as text.

    The id is the caller's inference id; null if there is none.

    Raises:
        ValueError: A line is not a record.
    """
    text = b"\n".join(lines)
    table = arrow_json.read_json(
        pa.BufferReader(text),
        read_options=arrow_json.ReadOptions(block_size=len(text) + 1),
        parse_options=arrow_json.ParseOptions(explicit_schema=_LINE, unexpected_field_behavior="ignore"),
    ).combine_chunks()
    found = pa.table({name: pc.struct_field(table[first], rest) for name, (first, *rest) in _COLUMNS.items()})
    if found.num_rows != len(lines) or any(column.null_count for column in found.columns):
        raise ValueError("a line is not a record")
    return found.append_column("id", pc.struct_field(table["eventMetadata"], "inferenceId"))


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
