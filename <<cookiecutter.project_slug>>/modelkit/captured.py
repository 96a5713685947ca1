"""The requests and responses of a model version in a time window, read from captured objects.

Objects are read in blocks, and records are decoded in batches. A batch that cannot be read is halved until only the
damaged records are left out.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelkit import bodies
from modelkit.intervals import Interval
from modelkit.parsing import ARROW_TYPES, parse
from modelkit.records import Lines, blocks, in_portions, parse_records
from modelkit.schema import Schema

NAMED = 5
"""The maximum number of damaged records to list."""

_KIND = ("request_type", "request_encoding", "answer_type", "answer_encoding")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """The predictions for r requests, for labels to be joined to them.

    Attributes:
        ids: The inference id of each request, or the endpoint's event id if the caller gave none; null without both.
        counts: The number of rows of each request: r values.
        predictions: The predictions for all rows, in the order of the requests; NaN for those that cannot be read.
    """

    ids: list[str | None]
    counts: npt.NDArray[np.int64]
    predictions: Values


@dataclass(frozen=True)
class Batch:
    """Some of the captured rows.

    Attributes:
        rows: Arrow table of the rows of requests in the window: the schema's features with their types; values of a
            wrong type are null.
        predictions: The predictions for those of them whose response was captured.
        answers: The responses in the interval of the labels; None if there are none, or no labels are joined.
    """

    rows: Any
    predictions: Values
    answers: Answers | None


@dataclass(frozen=True)
class _Decoded:
    """Records and their n rows as text, the number of rows of each, and n predictions, NaN without a response."""

    records: Any
    rows: Any
    counts: npt.NDArray[np.int64]
    predictions: Values


@dataclass
class Captured:
    """The captured traffic of one version; `read` yields its rows, and counts what it reads.

    Attributes:
        window: The window, whose rows are compared with the baseline.
        labels: The interval whose responses labels are joined to; None if there are no labels.
        test_prefix: The prefix of the inference ids of test requests, which are excluded.
        invalid: The number of values of a wrong type, by column.
        records: The number of records in the window.
        smoke: The number of records of test requests.
        torn: The number of files that end in the middle of a record, which is skipped: the writer was killed or is
            still writing.
        damaged: The number of other records, and of files, that cannot be read.
        damaged_at: The first of them, as `<file>:<line>` or `<file>: <reason>`.
        first: The time of the first record in the window, UTC, ISO 8601 without an offset; empty if there are none.
        last: The time of the last record.
    """

    window: Interval
    labels: Interval | None
    test_prefix: str
    invalid: dict[str, int] = field(default_factory=dict)
    records: int = 0
    smoke: int = 0
    torn: int = 0
    damaged: int = 0
    damaged_at: list[str] = field(default_factory=list)
    first: str = ""
    last: str = ""

    def read(self, folder: Path, schema: Schema) -> Iterator[Batch]:
        """Yield the rows of the objects in a folder.

        Args:
            folder: The folder of the objects, which are at any depth, in `<yyyy>/<mm>/<dd>/<hh>/<name>.jsonl`.
            schema: The columns of the requests.
        """
        for place, records in self._records(folder):

            def refuse(record: Any, place: str = place) -> None:
                self._damage(place, record["line"][0].as_py(), record["counts"][0].as_py())

            yield from self.decoded(records, schema, refuse)

    def decoded(self, records: Any, schema: Schema, refuse: Callable[[Any], None]) -> Iterator[Batch]:
        """Yield the rows of records, many at a time.

        Args:
            records: Arrow table of n records in the window or in the interval of the labels, with the columns of
                `records.parse_records`, the `line` of each, and whether it `counts` (in the window) and `joins`.
            schema: The columns of the requests.
            refuse: Called with each record that cannot be decoded: a table of one row.
        """
        for alike in _groups(records):

            def found(low: int, high: int, alike: Any = alike) -> list[_Decoded]:
                return _decoded(alike.slice(low, high - low), schema)

            def refused(at: int, alike: Any = alike) -> None:
                refuse(alike.slice(at, 1))

            for parts in in_portions(0, alike.num_rows, found, refused):
                yield from (self._batch(each, schema) for each in parts)

    def finds_records(self, folder: Path) -> bool:
        """Return whether the objects in a folder contain a record that `read` would decode."""
        return any(records.num_rows for _, records in self._records(folder))

    def covers(self, time: str) -> tuple[bool, bool]:
        """Return whether a time, ISO 8601 without an offset, is in the window, and in the interval of the labels."""
        times = pa.array([time])
        in_window, in_labels = (bool(each and each.holds(times)[0].as_py()) for each in (self.window, self.labels))
        return in_window, in_labels

    def is_test(self, inference_id: str) -> bool:
        """Return whether a request with this id is one of a test."""
        return inference_id.startswith(self.test_prefix)

    def _records(self, folder: Path) -> Iterator[tuple[str, Any]]:
        """Yield the records of either interval in batches, with the place of their file."""
        for path in _objects(folder):
            hour = _hour(path)
            counts = self.window.may_hold(hour)
            if counts or (self.labels and self.labels.may_hold(hour)):
                place = path.relative_to(folder.parent).as_posix()
                for records in self._file(path, place, counts):
                    yield place, self._asked(self._wanted(records))

    def _file(self, path: Path, place: str, counts: bool) -> Iterator[Any]:
        """Yield the records of a file in batches, each record with its `line`; unreadable ones count if `counts`."""
        try:
            for lines, complete in blocks(path):
                yield from self._parsed(lines, complete, place, counts)
        except OSError:
            self._damage(place, 0, counts)

    def _parsed(self, lines: Lines, complete: bool, place: str, counts: bool) -> Iterator[Any]:
        def parsed(low: int, high: int) -> Any:
            numbers = pa.array([number for number, _ in lines[low:high]])
            return parse_records([line for _, line in lines[low:high]]).append_column("line", numbers)

        def refuse(at: int) -> None:
            if complete:
                self._damage(place, lines[at][0], counts)
            else:
                self.torn += counts

        return in_portions(0, len(lines), parsed, refuse)

    def _wanted(self, records: Any) -> Any:
        """Return the records of either interval, marked by `counts` (the window) and `joins` (the labels)."""
        counts = self.window.holds(records["time"])
        joins = self.labels.holds(records["time"]) if self.labels else pc.and_(counts, False)
        return records.append_column("counts", counts).append_column("joins", joins).filter(pc.or_(counts, joins))

    def _asked(self, records: Any) -> Any:
        """Return the records without those of test requests, and count the latter."""
        tests = pc.fill_null(pc.starts_with(records["inference_id"], self.test_prefix), False)
        self.smoke += pc.sum(pc.and_(tests, records["counts"])).as_py() or 0
        return records.filter(pc.invert(tests))

    def _batch(self, found: _Decoded, schema: Schema) -> Batch:
        counts = found.records["counts"].to_numpy()
        in_window = np.repeat(counts, found.counts)
        self.records += int(counts.sum())
        self.extend(found.records.filter(found.records["counts"])["time"])
        predictions = found.predictions[in_window]
        return Batch(
            self.typed(found.rows if in_window.all() else found.rows.filter(pa.array(in_window)), schema),
            predictions[~np.isnan(predictions)],
            _answers(found) if self.labels else None,
        )

    def extend(self, times: Any) -> None:
        """Extend the time of the records to further times, as text without the trailing Z."""
        if len(times):
            found = pc.min_max(times).as_py()
            self.first = min(self.first or found["min"], found["min"])
            self.last = max(self.last, found["max"])

    def typed(self, rows: Any, schema: Schema) -> Any:
        """Return rows of text with the types of the schema, and count the values of a wrong type, which are null."""
        columns = {}
        for column in schema.features:
            parsed = parse(rows[column.name].combine_chunks(), column)
            columns[column.name] = parsed.values
            if parsed.invalid is not None:
                self.invalid[column.name] = self.invalid.get(column.name, 0) + int(pc.sum(parsed.invalid).as_py())
        return pa.table(columns)

    def damage(self, place: str) -> None:
        """Count a damaged record, and list it if it is among the first."""
        self.damaged += 1
        if len(self.damaged_at) < NAMED:
            self.damaged_at.append(place)

    def _damage(self, place: str, line: int, counts: bool) -> None:
        if counts:
            self.damage(f"{place}:{line}")


def table_schema(schema: Schema) -> Any:
    """Return the Arrow schema of the rows in a batch."""
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in schema.features])


def _objects(folder: Path) -> Iterator[Path]:
    """Yield the captured objects of a folder, in the order of their hours."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(files) if name.endswith(".jsonl"))


def _hour(path: Path) -> str:
    """Return the hour of an object, `2026-01-31T06`."""
    return "-".join(path.parts[-5:-2]) + f"T{path.parts[-2]}"


def _groups(records: Any) -> Iterator[Any]:
    """Yield the records, grouped by the content types and encodings of their requests and responses."""
    kinds = pc.binary_join_element_wise(*(records[name] for name in _KIND), "\n")
    for kind in pc.unique(kinds):
        yield records.filter(pc.equal(kinds, kind)).combine_chunks()


def _decoded(records: Any, schema: Schema) -> list[_Decoded]:
    """Decode records with the same types and encodings, grouped by CSV header.

    Raises:
        ValueError: A response does not contain one prediction per row.
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
        predictions = np.full(int(counts.sum()), np.nan)
        if answer_type:
            predictions, answers = bodies.predictions(answered.filter(same), answer_type)
            if not np.array_equal(counts, answers):
                raise ValueError("not one prediction per row")
        found.append(_Decoded(records.filter(same), rows, counts, predictions))
    return found


def _answers(found: _Decoded) -> Answers:
    """Return the responses in the interval of the labels."""
    joins = pc.and_(found.records["joins"], pc.not_equal(found.records["answer_type"], ""))
    chosen = joins.to_numpy()
    ids = pc.coalesce(found.records["inference_id"], found.records["event_id"]).filter(joins).to_pylist()
    return Answers(ids, found.counts[chosen], found.predictions[np.repeat(chosen, found.counts)])
