"""The rows and predictions of batch transform jobs: pairs of files, an input and its output of as many lines.

Both files are read in blocks, in step. Lines that cannot be read are left out one by one, as records are; a pair of
files that do not have the same number of lines is left out altogether.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from modelkit import bodies
from modelkit.captured import Batch, Captured
from modelkit.job import JobError
from modelkit.records import UNREADABLE, Lines, blocks, in_portions
from modelkit.schema import Schema

BATCHES_FILE = "batches.json"

_CSV, _LINES = "text/csv", "application/jsonlines"


@dataclass(frozen=True)
class Pair:
    """An input and its output.

    Attributes:
        name: The name of the input.
        input: The file of the rows.
        output: The file of their predictions.
        time: When the job listed them, UTC, ISO 8601 without an offset.
    """

    name: str
    input: Path
    output: Path
    time: str


@dataclass(frozen=True)
class Batches:
    """What the batch transform jobs of one version have predicted in the window.

    Attributes:
        pairs: The files.
        unreadable: The objects that could not be paired, as `<object>: <reason>`.
    """

    pairs: tuple[Pair, ...]
    unreadable: tuple[str, ...]

    @classmethod
    def listed(cls, path: Path, inputs: Path, outputs: Path) -> "Batches":
        """Read the list of a version, which may be missing.

        Args:
            path: The list.
            inputs: The folder of the inputs.
            outputs: The folder of the outputs.

        Raises:
            JobError: The list is damaged.
        """
        if not path.is_file():
            return cls((), ())
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            pairs = tuple(
                Pair(each["input"], inputs / each["input"], outputs / each["output"], each["time"].removesuffix("Z"))
                for each in document["pairs"]
            )
            return cls(pairs, tuple(document["unreadable"]))
        except (OSError, *UNREADABLE) as error:
            raise JobError(f"{path}: the list of batch predictions cannot be read: {error!r}") from error

    def read(self, schema: Schema, captured: Captured) -> Iterator[Batch]:
        """Yield the rows of all pairs, none with answers: batch predictions have no inference ids to join labels by.

        Args:
            schema: The columns of the rows.
            captured: Counts what is read: each pair is one record.
        """
        for reason in self.unreadable:
            captured.damage(reason)
        for pair in self.pairs:
            try:
                form = _Form.of(pair, schema)
            except (OSError, *UNREADABLE) as error:
                captured.damage(f"{pair.name}: {error}")
                continue
            captured.records += 1
            captured.extend(pa.array([pair.time]))
            yield from _batches(pair, form, schema, captured)


@dataclass(frozen=True)
class _Form:
    """The content types of a pair, and its CSV header, empty if it has none."""

    input: str
    output: str
    header: str

    @classmethod
    def of(cls, pair: Pair, schema: Schema) -> "_Form":
        """Examine the files of a pair.

        Raises:
            OSError: One cannot be read.
            ValueError: One is not UTF-8, or they do not have one prediction per row.
        """
        (asked, rows), (answered, predictions) = map(_first_and_count, (pair.input, pair.output))
        header = ""
        if (kind := _content_type(asked)) == _CSV:
            header = bodies.headers(_body([asked]), kind, schema.feature_names)[0].as_py()
        rows -= bool(header)
        if rows != predictions:
            raise ValueError(f"{rows} rows and {predictions} predictions")
        return cls(kind, _content_type(answered), header)


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


def _batches(pair: Pair, form: _Form, schema: Schema, captured: Captured) -> Iterator[Batch]:
    for lines, answers in _in_step(pair, skipped=bool(form.header)):
        yield from _decoded(lines, answers, pair.name, form, schema, captured)


def _in_step(pair: Pair, *, skipped: bool) -> Iterator[tuple[Lines, list[bytes]]]:
    """Yield lines of the input without its first if that is skipped, and as many lines of the output."""
    answers = (line for lines, _ in blocks(pair.output) for _, line in lines)
    start = int(skipped)
    for lines, _ in blocks(pair.input):
        rows, start = lines[start:], 0
        yield rows, list(itertools.islice(answers, len(rows)))


def _decoded(
    lines: Lines, answers: list[bytes], name: str, form: _Form, schema: Schema, captured: Captured
) -> Iterator[Batch]:
    head = [form.header.encode()] if form.header else []

    def decoded(low: int, high: int) -> Batch:
        asked = _body([*head, *(line for _, line in lines[low:high])])
        rows, _ = bodies.rows(asked, form.input, form.header, schema.feature_names)
        predictions, _ = bodies.predictions(_body(answers[low:high]), form.output)
        if not rows.num_rows == len(predictions) == high - low:
            raise ValueError("not one prediction per row")
        return Batch(captured.typed(rows, schema), predictions, None)

    return in_portions(0, len(lines), decoded, lambda at: captured.damage(f"{name}:{lines[at][0]}"))


def _body(lines: list[bytes]) -> Any:
    """Return lines as one body.

    Raises:
        ValueError: They are not UTF-8.
    """
    return bodies.text(pa.array([b"".join(line + b"\n" for line in lines).decode()]), "")
