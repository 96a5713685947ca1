"""The requests and responses of a model in a time window, read from captured objects.

Records are read and decoded in batches. A batch that cannot be read is halved until only the damaged records are left
out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelkit import bodies
from modelkit.parsing import parse
from modelkit.records import in_portions, parse_lines
from modelkit.schema import Schema

NAMED = 5
"""The maximum number of damaged records to list."""

_KIND = ("request_type", "request_encoding", "answer_type", "answer_encoding")


@dataclass
class Captured:
    """The captured rows of a window.

    Attributes:
        table: Arrow table of the schema's features with their types, one row per row of the requests; values of a wrong
            type are null.
        predictions: The prediction for each row.
        invalid: The number of values of a wrong type, by column.
        records: The number of records that the rows are from.
        smoke: The number of records of test requests, which are excluded.
        torn: The number of files that end in the middle of a record, which is skipped: the writer was killed or is
            still writing.
        damaged: The number of other records that cannot be read.
        damaged_at: The first damaged records, as `<file>:<line>`.
        first: The time of the first record, ISO 8601; empty if there are none.
        last: The time of the last record.
    """

    table: Any = None
    predictions: list[float] = field(default_factory=list)
    invalid: dict[str, int] = field(default_factory=dict)
    records: int = 0
    smoke: int = 0
    torn: int = 0
    damaged: int = 0
    damaged_at: list[str] = field(default_factory=list)
    first: str = ""
    last: str = ""

    def asked(self, records: Any, test_prefix: str) -> Any:
        """Return the records without those of test requests, and count the latter."""
        tests = pc.fill_null(pc.starts_with(records["id"], test_prefix), False)
        self.smoke += pc.sum(tests).as_py() or 0
        return records.filter(pc.invert(tests))

    def take(self, records: Any, path: Path, schema: Schema) -> Iterator[Any]:
        """Add the predictions of records with the same content types and encodings; yield their rows as text."""

        def decoded(low: int, high: int) -> tuple[int, list[tuple[Any, list[float]]]]:
            return high - low, _decoded(records.slice(low, high - low), schema)

        def refuse(at: int) -> None:
            self.damage(path, records["line"][at].as_py())

        times = pc.min_max(records["time"]).as_py()
        self.first = min(self.first or times["min"], times["min"])
        self.last = max(self.last, times["max"])
        for count, found in in_portions(0, records.num_rows, decoded, refuse):
            self.records += count
            for rows, predictions in found:
                self.predictions += predictions
                yield rows

    def damage(self, path: Path, line: int) -> None:
        """Count a damaged record, and list it if it is among the first."""
        self.damaged += 1
        if len(self.damaged_at) < NAMED:
            self.damaged_at.append(f"{path}:{line}")


def read(folder: Path, schema: Schema, start: str, end: str, test_prefix: str) -> Captured:
    """Read the records of a time window, from `start` (inclusive) to `end` (exclusive).

    Args:
        folder: The folder of the objects, which are at any depth, in `<yyyy>/<mm>/<dd>/<hh>/<name>.jsonl`.
        schema: The columns of the requests.
        start: UTC, `2026-01-31T23:59:59Z`; empty for no lower bound.
        end: UTC; empty for no upper bound.
        test_prefix: The prefix of the inference ids of test requests.
    """
    captured = Captured()
    tables = [_typed(pa.schema([(name, pa.string()) for name in schema.feature_names]).empty_table(), schema, {})]
    # An object is in the folder of its first record, and the records that follow may be of the next hour.
    earliest = f"{datetime.fromisoformat(start[:19]) - timedelta(hours=1):%Y-%m-%dT%H}" if start else ""
    for path in sorted(folder.rglob("*.jsonl")):
        if "-".join(path.parts[-5:-2]) + f"T{path.parts[-2]}" < earliest:
            continue
        for records in _records(path, captured):
            for alike in _groups(captured.asked(_within(records, start, end), test_prefix)):
                tables += [_typed(rows, schema, captured.invalid) for rows in captured.take(alike, path, schema)]
    captured.table = pa.concat_tables(tables).combine_chunks()
    return captured


def _records(path: Path, captured: Captured) -> Iterator[Any]:
    """Return the records of a file in batches, each record with its `line`."""
    *whole, tail = path.read_bytes().split(b"\n")
    lines = [(number, line) for number, line in enumerate([*whole, tail], 1) if line.strip()]

    def parsed(low: int, high: int) -> Any:
        numbers = pa.array([number for number, _ in lines[low:high]])
        return parse_lines([line for _, line in lines[low:high]]).append_column("line", numbers)

    def refuse(at: int) -> None:
        if lines[at][0] > len(whole):
            captured.torn += 1
        else:
            captured.damage(path, lines[at][0])

    return in_portions(0, len(lines), parsed, refuse)


def _within(records: Any, start: str, end: str) -> Any:
    records = records.filter(pc.greater_equal(records["time"], start))
    return records.filter(pc.less(records["time"], end)) if end else records


def _groups(records: Any) -> Iterator[Any]:
    """Yield the records, grouped by the content types and encodings of their requests and responses."""
    kinds = pc.binary_join_element_wise(*(records[name] for name in _KIND), "\n")
    for kind in pc.unique(kinds):
        yield records.filter(pc.equal(kinds, kind)).combine_chunks()


def _decoded(records: Any, schema: Schema) -> list[tuple[Any, list[float]]]:
    """Return the rows, as text, and predictions of records with the same types and encodings, grouped by CSV header.

    Raises:
        ValueError: A record does not contain one prediction per row.
        LookupError: A row lacks a column.
    """
    asked_type, asked_encoding, answer_type, answer_encoding = (records[name][0].as_py().lower() for name in _KIND)
    asked = bodies.text(records["request"].chunk(0), asked_encoding)
    answered = bodies.text(records["answer"].chunk(0), answer_encoding)
    headers = bodies.headers(asked, asked_type, schema.feature_names)
    found = []
    for header in pc.unique(headers):
        same = pc.equal(headers, header)
        rows, counts = bodies.rows(asked.filter(same), asked_type, header.as_py(), schema.feature_names)
        predictions, answers = bodies.predictions(answered.filter(same), answer_type)
        if not np.array_equal(counts, answers):
            raise ValueError("not one prediction per row")
        found.append((rows, predictions))
    return found


def _typed(rows: Any, schema: Schema, invalid: dict[str, int]) -> Any:
    columns = {}
    for column in schema.features:
        parsed = parse(rows[column.name].combine_chunks(), column)
        columns[column.name] = parsed.values
        if parsed.invalid is not None:
            invalid[column.name] = invalid.get(column.name, 0) + int(pc.sum(parsed.invalid).as_py())
    return pa.table(columns)
