"""The rows and predictions in pairs of files: an input, and the output with its predictions.

Batch transform jobs and asynchronous endpoints leave such pairs. Files of lines are read in blocks, in step, and lines
that cannot be read are left out one by one, as records are; JSON documents are read whole. A pair of files that do not
have the same number of rows and predictions is left out altogether.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from modelkit import bodies, documents
from modelkit.captured import Answers, Batch, Captured, Values, table_schema
from modelkit.job import JobError
from modelkit.records import LONGEST_LINE, UNREADABLE, Lines, blocks, in_portions
from modelkit.schema import Schema

PAIRS_FILE = "pairs.json"

_CSV, _LINES = "text/csv", "application/jsonlines"
_UNKNOWN = np.full(1, np.nan)
_SMALL, _GROUP, _MOST = 1 << 18, 8 << 20, 1000
"""The bytes of a file that is read with others, and the bytes and number of such pairs that are read at a time."""

_RECORD = {
    **dict.fromkeys(("time", "request_type", "request_encoding", "request"), pa.string()),
    **dict.fromkeys(("answer_type", "answer_encoding", "answer", "inference_id", "event_id"), pa.string()),
    **dict.fromkeys(("counts", "joins"), pa.bool_()),
    "line": pa.int64(),
}
"""The columns of a record (see `Captured.decoded`), with the number of the pair in its group as its line."""

_Portion = tuple[Any, Values]
"""The Arrow table of n rows as text, and their n predictions."""


@dataclass(frozen=True)
class Pair:
    """An input and its output.

    Attributes:
        name: The name of the input.
        input: The file of the rows.
        output: The file of their predictions.
        time: When they were predicted, UTC, ISO 8601 without an offset.
        id: The id by which labels are joined.
        input_type: The content type of the input; empty if only its content tells.
        output_type: The content type of the output; empty likewise.
    """

    name: str
    input: Path
    output: Path
    time: str
    id: str
    input_type: str
    output_type: str

    @classmethod
    def of(cls, entry: Mapping[str, Any], inputs: Path, outputs: Path) -> "Pair":
        """Read an entry of a list.

        Args:
            entry: The entry.
            inputs: The folder of inputs that are not in the folder of outputs.
            outputs: The folder of the outputs.

        Raises:
            LookupError: A member is missing.
            TypeError: A member is not a string.
            AttributeError: The same.
        """
        return cls(
            name=entry["input"],
            input=(outputs if entry["beside_output"] else inputs) / entry["input"],
            output=outputs / entry["output"],
            time=entry["time"].removesuffix("Z"),
            id=entry["id"],
            input_type=entry["input_type"].lower(),
            output_type=entry["output_type"].lower(),
        )


class _Wanted(NamedTuple):
    """A pair to read: whether it is in the window, and whether labels are joined to it."""

    pair: Pair
    counts: bool
    joins: bool

    def size(self) -> int:
        """Return the bytes of the larger file; 0 if one is missing."""
        try:
            return max(path.stat().st_size for path in (self.pair.input, self.pair.output))
        except OSError:
            return 0

    def record(self) -> tuple[Any, ...]:
        """Return the values of the columns `_RECORD` but the last.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file is not UTF-8.
        """
        pair = self.pair
        asked, answered = pair.input.read_bytes(), pair.output.read_bytes()
        asked_type, answered_type = pair.input_type or _content_type(asked), pair.output_type or _content_type(answered)
        texts = (asked_type, "", asked.decode(), answered_type, "", answered.decode())
        return (pair.time, *texts, pair.id, None, self.counts, self.joins)


@dataclass(frozen=True)
class Pairs:
    """What one version has predicted in files, in the window or in the interval of the labels.

    Attributes:
        pairs: The files.
        unreadable: The objects of the window that could not be paired, as `<object>: <reason>`.
    """

    pairs: tuple[Pair, ...]
    unreadable: tuple[str, ...]

    @classmethod
    def listed(cls, path: Path, inputs: Path, outputs: Path) -> "Pairs":
        """Read the list of a version, which may be missing.

        Args:
            path: The list.
            inputs: The folder of the inputs that the list does not place beside their outputs.
            outputs: The folder of the outputs.

        Raises:
            JobError: The list is damaged.
        """
        if not path.is_file():
            return cls((), ())
        try:
            document = documents.read(path)
            pairs = tuple(Pair.of(entry, inputs, outputs) for entry in document["pairs"])
            return cls(pairs, tuple(document["unreadable"]))
        except UNREADABLE as error:
            raise JobError(f"{path}: the list of predictions cannot be read: {error!r}") from error

    def read(self, schema: Schema, captured: Captured) -> Iterator[Batch]:
        """Yield the rows of the pairs in the window, and the answers of those in the interval of the labels.

        Args:
            schema: The columns of the rows.
            captured: Counts what is read: each pair is one record.
        """
        for reason in self.unreadable:
            captured.damage(reason)
        for group in _groups(self._wanted(captured)):
            yield from _many(group, schema, captured) if len(group) > 1 else _batches(group[0], schema, captured)

    def _wanted(self, captured: Captured) -> Iterator[_Wanted]:
        for pair in self.pairs:
            counts, joins = captured.covers(pair.time)
            if captured.is_test(pair.id):
                captured.smoke += counts
            elif counts or joins:
                yield _Wanted(pair, counts, joins)


def _groups(wanted: Iterable[_Wanted]) -> Iterator[list[_Wanted]]:
    """Yield pairs, those with small files in groups of bounded size, and each of the others alone."""
    group: list[_Wanted] = []
    size = 0
    for one in wanted:
        more = one.size()
        if more > _SMALL:
            yield [one]
            continue
        group.append(one)
        size += more
        if size > _GROUP or len(group) == _MOST:
            yield group
            group, size = [], 0
    if group:
        yield group


def _many(group: list[_Wanted], schema: Schema, captured: Captured) -> Iterator[Batch]:
    """Yield the rows and answers of pairs with small files, decoded many at a time, as records are."""
    alone: list[_Wanted] = []
    records: dict[str, list[Any]] = {name: [] for name in _RECORD}
    for number, one in enumerate(group):
        try:
            values = (*one.record(), number)
        except (OSError, *UNREADABLE):
            alone.append(one)
            continue
        for column, value in zip(records.values(), values, strict=True):
            column.append(value)
    table = pa.table({name: pa.array(column, _RECORD[name]) for name, column in records.items()})
    yield from captured.decoded(table, schema, lambda record: alone.append(group[record["line"][0].as_py()]))
    for one in alone:
        yield from _batches(one, schema, captured)


def _batches(wanted: _Wanted, schema: Schema, captured: Captured) -> Iterator[Batch]:
    """Yield the rows and the answer of one pair; its lines are left out one by one if they cannot be read."""
    pair = wanted.pair
    answers: list[Values] = []

    def damage(place: str) -> None:
        if wanted.counts:
            captured.damage(f"{pair.name}:{place}")

    def refuse(line: int) -> None:
        answers.append(_UNKNOWN)  # labels are in the order of all rows
        damage(str(line))

    try:
        portions = _portions(pair, schema, refuse)
    except (OSError, *UNREADABLE) as error:
        damage(f" {error}")
        return
    if wanted.counts:
        captured.records += 1
        captured.extend(pa.array([pair.time]))
    for rows, predictions in portions:
        answers.append(predictions)
        if wanted.counts:
            yield Batch(captured.typed(rows, schema), predictions, None)
    if wanted.joins:
        predictions = np.concatenate([np.empty(0), *answers])
        answer = Answers([pair.id], np.array([len(predictions)]), predictions)
        yield Batch(table_schema(schema).empty_table(), np.empty(0), answer)


def _portions(pair: Pair, schema: Schema, refuse: Callable[[int], None]) -> Iterator[_Portion]:
    """Return the rows of a pair as text, with their predictions, in portions.

    Args:
        pair: The files.
        schema: The columns of the rows.
        refuse: Called with the number of each line of the input that cannot be read.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not of its content type or too large, or they do not have one prediction per row.
        LookupError: A row of a JSON document lacks a column.
    """
    if bodies.is_document(pair.input_type) or bodies.is_document(pair.output_type):
        return iter([_documents(pair, schema)])
    (asked, rows), (answered, predictions) = map(_first_and_count, (pair.input, pair.output))
    asked_type, answered_type = pair.input_type or _content_type(asked), pair.output_type or _content_type(answered)
    header = bodies.headers(_body([asked]), asked_type, schema.feature_names)[0].as_py()
    rows -= bool(header)
    if rows != predictions:
        raise ValueError(f"{rows} rows and {predictions} predictions")
    return _lines(replace(pair, input_type=asked_type, output_type=answered_type), header, schema, refuse)


def _documents(pair: Pair, schema: Schema) -> _Portion:
    """Return the rows and predictions of a pair of which one is a JSON document."""
    asked, answered = map(_whole, (pair.input, pair.output))
    header = bodies.headers(asked, pair.input_type, schema.feature_names)[0].as_py()
    rows, _ = bodies.rows(asked, pair.input_type, header, schema.feature_names)
    predictions, _ = bodies.predictions(answered, pair.output_type)
    if rows.num_rows != len(predictions):
        raise ValueError(f"{rows.num_rows} rows and {len(predictions)} predictions")
    return rows, predictions


def _whole(path: Path) -> Any:
    if path.stat().st_size > LONGEST_LINE:
        raise ValueError(f"{path.name} is larger than {LONGEST_LINE >> 20} MiB, and not CSV or JSON Lines")
    return bodies.text(pa.array([path.read_bytes().decode()]), "")


def _first_and_count(path: Path) -> tuple[bytes, int]:
    """Return the first line of a file, empty if it has none, and the number of its lines."""
    first, count = b"", 0
    for lines, _ in blocks(path):
        first = first if count else lines[0][1]
        count += len(lines)
    return first, count


def _content_type(line: bytes) -> str:
    """Return the content type of a file by its first line: a row of CSV is not an object."""
    return _LINES if line.lstrip(b"\xef\xbb\xbf").startswith(b"{") else _CSV


def _lines(pair: Pair, header: str, schema: Schema, refuse: Callable[[int], None]) -> Iterator[_Portion]:
    for lines, answers in _in_step(pair, skipped=bool(header)):
        yield from _decoded(lines, answers, pair, header, schema, refuse)


def _decoded(
    lines: Lines, answers: list[bytes], pair: Pair, header: str, schema: Schema, refuse: Callable[[int], None]
) -> Iterator[_Portion]:
    head = [header.encode()] if header else []

    def decoded(low: int, high: int) -> _Portion:
        asked = _body([*head, *(line for _, line in lines[low:high])])
        rows, _ = bodies.rows(asked, pair.input_type, header, schema.feature_names)
        predictions, _ = bodies.predictions(_body(answers[low:high]), pair.output_type)
        if not rows.num_rows == len(predictions) == high - low:
            raise ValueError("not one prediction per row")
        return rows, predictions

    return in_portions(0, len(lines), decoded, lambda at: refuse(lines[at][0]))


def _in_step(pair: Pair, *, skipped: bool) -> Iterator[tuple[Lines, list[bytes]]]:
    """Yield lines of the input without its first if that is skipped, and as many lines of the output."""
    answers = (line for lines, _ in blocks(pair.output) for _, line in lines)
    start = int(skipped)
    for lines, _ in blocks(pair.input):
        rows, start = lines[start:], 0
        yield rows, list(itertools.islice(answers, len(rows)))


def _body(lines: list[bytes]) -> Any:
    """Return lines as one body.

    Raises:
        ValueError: They are not UTF-8.
    """
    return bodies.text(pa.array([b"".join(line + b"\n" for line in lines).decode()]), "")
