"""Data sets on disk: folders of .csv, .csv.gz and .parquet files."""

import csv
import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from modelkit import limits, parquet_files
from modelkit.contents import START, SUFFIXES, fault_of_header, fault_of_start
from modelkit.job import JobError
from modelkit.messages import listed
from modelkit.parquet_pages import DamagedError
from modelkit.parsing import parse
from modelkit.schema import Schema

_BLOCK = 1 << 20
_LARGEST_BLOCK = (1 << 31) - 1


class FileError(JobError):
    """A file that cannot be read as a table.

    Attributes:
        rule: The violated rule, as named in a validation report.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True)
class RaggedRow:
    """A row of a CSV file with too few or too many fields; `number` counts rows from 1 below the header."""

    number: int
    fields: int
    expected: int


@dataclass(frozen=True)
class Source:
    """The content of one file.

    Attributes:
        name: The file's name below the folder of the data set.
        table: Arrow table of its rows: all text from CSV (an empty field is null), typed from Parquet.
        ragged: The rows that were skipped because they do not have one field per column.
    """

    name: str
    table: Any
    ragged: tuple[RaggedRow, ...] = ()

    def row_number(self, index: int) -> int:
        """Return the number of a row of the table in the file, counted from 1 below the header."""
        number = index + 1
        for row in self.ragged:
            number += row.number <= number
        return number


@dataclass(frozen=True)
class Files:
    """The files of a data set.

    Attributes:
        data: Name below the folder and path of each data file, sorted.
        left_out: The names of the other files.
    """

    data: list[tuple[str, Path]]
    left_out: list[str]

    def budget(self) -> limits.Budget:
        """Return what all of them together may unpack to, as one table."""
        return limits.of_data(((name, path.stat().st_size) for name, path in self.data), in_memory=True)


def is_data(name: str) -> bool:
    """Return whether a file is data: no part of its name below the folder of the data set begins with `.` or `_`."""
    return not any(part.startswith((".", "_")) for part in name.split("/"))


def find_files(path: Path) -> Files:
    """Find the data files of a folder and its subfolders, also behind links.

    Raises:
        FileError: The path does not exist, is a folder without data files, has a link that leads nowhere or back, or a
            data file whose name is not UTF-8.
    """
    if path.is_file():
        return Files([(path.name, path)], [])
    found = sorted((file.relative_to(path).as_posix(), file) for file in _below(path, ()))
    data = [(name, file) for name, file in found if is_data(name)]
    if not data:
        reason = "the folder contains no data files" if path.is_dir() else "no such file or folder"
        raise FileError("file_missing", f"{path}: {reason}; expected {', '.join(SUFFIXES)}")
    for name, _ in data:
        if name != os.fsencode(name).decode(errors="replace"):
            raise FileError("file_missing", f"{name}: the name is not UTF-8; rename the file")
    return Files(data, [name for name, _ in found if not is_data(name)])


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        raise FileError("file_missing", f"{folder}: a link to a folder that contains it; remove the link")
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            yield from _below(path, (*above, real))
        elif path.exists():
            yield path
        else:
            target = f"{path}: a link to {path.readlink()}, which does not exist"
            raise FileError("file_missing", f"{target}; fetch that file, or remove the link")


def read_source(name: str, path: Path, budget: limits.Budget) -> Source:
    """Read one file.

    Args:
        name: Its name below the folder of the data set.
        path: The file.
        budget: What it may unpack to.

    Raises:
        FileError: It has another suffix, or is empty, not UTF-8, damaged, too large, or something else than a table;
            the message says what.
    """
    if not name.endswith(SUFFIXES):
        raise FileError("file_type", f"{name}: not a data file; expected {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise FileError("file_empty", f"{name}: the file has 0 bytes")
    require_content(name, path)
    spent = budget.spent
    try:
        if path.suffix == ".parquet":
            return Source(name, _read_parquet(path, budget))
        return _read_csv(name, path, budget)
    except limits.LimitError as error:
        budget.spent = spent  # nothing of it is kept
        raise FileError("file_too_large", f"{name}: {error}") from None
    except UnicodeDecodeError as error:
        raise FileError("file_encoding", f"{name}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except (pa.ArrowException, csv.Error, EOFError, OSError, DamagedError) as error:
        if "invalid UTF8" in str(error):
            raise FileError("file_encoding", f"{name}: not UTF-8 text; save it as UTF-8 ({error})") from error
        raise FileError("file_unreadable", f"{name}: damaged ({error})") from error


def require_content(name: str, path: Path) -> None:
    """Make sure that a file begins like one of its suffix.

    Raises:
        FileError: It does not; the message says what it is, if that is known.
    """
    with path.open("rb") as file:
        fault = fault_of_start(name, file.read(START))
    if fault:
        raise FileError("file_unreadable", f"{name}: {fault}")


def read_sources(path: Path) -> list[Source]:
    """Read the files of a data set.

    Raises:
        FileError: There are no files, or one cannot be read.
    """
    files = find_files(path)
    budget = files.budget()
    return [read_source(name, file, budget) for name, file in files.data]


def read_typed(path: Path, schema: Schema) -> Any:
    """Read a data set into one Arrow table with the schema's columns, in its order and with its types.

    Raises:
        JobError: A file cannot be read, a column is missing, or a value is not of its column's type.
    """
    return typed(read_sources(path), schema)


def typed(sources: Sequence[Source], schema: Schema) -> Any:
    """Return the rows of files as one Arrow table with the schema's columns, in its order and with its types.

    Raises:
        JobError: A column is missing, or a value is not of its column's type.
    """
    return pa.concat_tables([_typed(source, schema) for source in sources]).combine_chunks()


def raw(sources: Sequence[Source]) -> Any:
    """Return the rows of files as one Arrow table with all columns as they were read.

    A column that a file lacks is null in its rows; one whose type differs between files is text. A column whose name
    is repeated in a file, or whose values cannot be written as text, is left out.
    """
    tables = [source.table for source in sources]
    repeated = {name for table in tables for name in table.column_names if table.column_names.count(name) > 1}
    kinds: dict[str, set[Any]] = {}
    for field in (field for table in tables for field in table.schema if field.name not in repeated):
        kinds.setdefault(field.name, set()).add(field.type)
    columns = {name: _one_column(tables, name, kinds[name]) for name in kinds}
    return pa.table({name: column for name, column in columns.items() if column is not None})


def _one_column(tables: Sequence[Any], name: str, kinds: set[Any]) -> Any | None:
    kind = next(iter(kinds)) if len(kinds) == 1 else pa.string()
    try:
        parts = [
            table[name].cast(kind) if name in table.column_names else pa.nulls(len(table), kind) for table in tables
        ]
    except pa.ArrowException:
        return None
    return pa.chunked_array([chunk for part in parts for chunk in getattr(part, "chunks", [part])], kind)


def write_parquet(table: Any, path: Path) -> None:
    """Write a table as Parquet, atomically; create the folder if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    parquet.write_table(table, partial)
    partial.replace(path)


def _typed(source: Source, schema: Schema) -> Any:
    names = source.table.column_names
    missing = [name for name in schema.names if names.count(name) != 1]
    if missing:
        raise JobError(
            f"{source.name}: missing or repeated columns: {listed(missing)}; modelkit.jobs.validate lists all"
        )
    if source.ragged:
        row = source.ragged[0]
        raise JobError(f"{source.name}: row {row.number} has {row.fields} fields, not {row.expected}")
    columns = []
    for column in schema.read:
        parsed = parse(source.table[column.name], column, schema.notation)
        if parsed.invalid is not None:
            count = pc.sum(parsed.invalid).as_py()
            raise JobError(f"{source.name}: column '{column.name}' has {count} values that are not {column.type}")
        columns.append(parsed.values)
    return pa.table(columns, names=schema.names)


def _read_parquet(path: Path, budget: limits.Budget) -> Any:
    """Read a file; rows have empty lists in the columns of lists and structs, which are not read."""
    schema = parquet.read_schema(path)
    names = parquet_files.flat(schema)
    if not names:
        raise FileError("file_unreadable", f"{path.name}: all columns hold lists or structs; write one value per row")
    table = pa.concat_tables(parquet_files.pieces(path, names, budget))
    read = iter(table.columns)
    empty = pa.ListArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), table.num_rows + 1), pa.nulls(0))
    return pa.table([next(read) if name in names else empty for name in schema.names], names=schema.names)


def _read_csv(name: str, path: Path, budget: limits.Budget) -> Source:
    header = read_header(name, path)
    block = block_of(path, budget)
    try:
        return Source(name, _read_rows(path, header, block))
    except pa.ArrowInvalid as error:
        if "Expected" not in str(error):
            raise
    ragged: list[RaggedRow] = []

    def leave_out(row: Any) -> str:
        ragged.append(RaggedRow(row.number - 1, row.actual_columns, row.expected_columns))
        return "skip"

    return Source(name, _read_rows(path, header, block, leave_out), tuple(ragged))


@dataclass(frozen=True)
class Block:
    """How a CSV file is to be cut into blocks.

    Attributes:
        size: The size of a block in bytes.
        quoted: Whether the file has quotes, in which there may be line ends (RFC 4180, 2.6).
    """

    size: int
    quoted: bool


def block_of(path: Path, budget: limits.Budget, size: int = _BLOCK) -> Block:
    """Find out how to cut a CSV file.

    Arrow loses a byte of a CRLF in quotes at the end of a block (https://github.com/apache/arrow/issues/51368), so such
    a file is one block.

    Args:
        path: The file.
        budget: What it may unpack to.
        size: The size of the blocks of other files.

    Raises:
        LimitError: It unpacks to more.
    """
    quoted = returns = False
    total = 0
    for chunk in limits.text(path, budget):
        total += len(chunk)
        quoted, returns = quoted or b'"' in chunk, returns or b"\r" in chunk
    return Block(min(max(size, total + 1), _LARGEST_BLOCK) if quoted and returns else size, quoted)


def _read_rows(path: Path, header: list[str], block: Block, on_ragged: Callable[[Any], str] | None = None) -> Any:
    """Read the rows as text; with a handler in a single thread, because Arrow numbers rows only then."""
    positions = [str(position) for position in range(len(header))]  # a header may name a column twice
    table = arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(
            column_names=positions, skip_rows=1, use_threads=on_ragged is None, block_size=block.size
        ),
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=on_ragged, newlines_in_values=block.quoted),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return table.rename_columns(header)


def read_header(name: str, path: Path) -> list[str]:
    """Return the names of the columns of a CSV file.

    Raises:
        FileError: It has no header, or one that is too long or shows that its columns are separated otherwise or not
            all named.
    """
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(_limited(name, file)), [])
    if not any(header):
        raise FileError("file_empty", f"{name}: the file has no header")
    fault = fault_of_header(header)
    if fault:
        raise FileError("file_header", f"{name}: {fault}")
    return header


def _limited(name: str, file: Any) -> Iterator[str]:
    """Yield the lines of the header."""
    left = limits.HEADER_BYTES
    while line := file.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise FileError("file_header", f"{name}: no header within {limits.HEADER_BYTES:,} characters; is it CSV?")
        yield line
