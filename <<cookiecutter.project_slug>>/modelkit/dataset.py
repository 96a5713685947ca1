"""Data sets on disk: folders of .csv, .csv.gz and .parquet files."""

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from modelkit.job import JobError
from modelkit.parsing import parse
from modelkit.schema import Schema

SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""The suffixes of data files."""


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
        name: The file's name.
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


def find_files(path: Path) -> list[Path]:
    """Return the data files of a folder and its subfolders, by name; hidden files and those named `_...` are skipped.

    Raises:
        FileError: The path does not exist, or is a folder without files.
    """
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
    if not files:
        found = "the folder contains no files" if path.is_dir() else "no such file or folder"
        raise FileError("file_missing", f"{path}: {found}; expected {', '.join(SUFFIXES)}")
    return files


def read_source(path: Path) -> Source:
    """Read one file.

    Raises:
        FileError: It has another suffix, or is empty, not UTF-8, or damaged.
    """
    if not path.name.endswith(SUFFIXES):
        raise FileError("file_type", f"{path.name}: not a data file; expected {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise FileError("file_empty", f"{path.name}: the file has 0 bytes")
    read = _read_parquet if path.suffix == ".parquet" else _read_csv
    try:
        return read(path)
    except UnicodeDecodeError as error:
        raise FileError("file_encoding", f"{path.name}: not UTF-8 text ({error.reason})") from error
    except (pa.ArrowException, csv.Error, EOFError, OSError) as error:
        if "invalid UTF8" in str(error):
            raise FileError("file_encoding", f"{path.name}: not UTF-8 text ({error})") from error
        message = f"{path.name}: damaged, or not in the format of its suffix ({error})"
        raise FileError("file_unreadable", message) from error


def read_typed(path: Path, schema: Schema) -> Any:
    """Read a data set into one Arrow table with the schema's columns, in its order and with its types.

    Raises:
        JobError: A file cannot be read, a column is missing, or a value is not of its column's type.
    """
    return pa.concat_tables([_typed(read_source(file), schema) for file in find_files(path)]).combine_chunks()


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
            f"{source.name}: missing or repeated columns: {', '.join(missing)}; modelkit.jobs.validate lists all"
        )
    if source.ragged:
        row = source.ragged[0]
        raise JobError(f"{source.name}: row {row.number} has {row.fields} fields, not {row.expected}")
    columns = []
    for column in schema.columns:
        parsed = parse(source.table[column.name], column)
        if parsed.invalid is not None:
            count = pc.sum(parsed.invalid).as_py()
            raise JobError(f"{source.name}: column '{column.name}' has {count} values that are not {column.type}")
        columns.append(parsed.values)
    return pa.table(columns, names=schema.names)


def _read_parquet(path: Path) -> Source:
    return Source(path.name, parquet.read_table(path))


def _read_csv(path: Path) -> Source:
    header = _header(path)
    try:
        return Source(path.name, _read_rows(path, header))
    except pa.ArrowInvalid as error:
        if "Expected" not in str(error):
            raise
    ragged: list[RaggedRow] = []

    def leave_out(row: Any) -> str:
        ragged.append(RaggedRow(row.number - 1, row.actual_columns, row.expected_columns))
        return "skip"

    return Source(path.name, _read_rows(path, header, leave_out), tuple(ragged))


def _read_rows(path: Path, header: list[str], on_ragged: Callable[[Any], str] | None = None) -> Any:
    """Read the rows as text; with a handler in a single thread, because Arrow numbers rows only then."""
    positions = [str(position) for position in range(len(header))]  # a header may name a column twice
    table = arrow_csv.read_csv(
        path,
        read_options=arrow_csv.ReadOptions(column_names=positions, skip_rows=1, use_threads=on_ragged is None),
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=on_ragged),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return table.rename_columns(header)


def _header(path: Path) -> list[str]:
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    if not any(header):
        raise FileError("file_empty", f"{path.name}: the file has no header")
    return header
