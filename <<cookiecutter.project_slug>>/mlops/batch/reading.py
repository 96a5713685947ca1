"""Input files of batch predictions, read as pieces of an Arrow table."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from mlops.base.errors import UsageError
from mlops.base.files import data_files
from modelkit import limits, parquet_files
from modelkit.dataset import FileError, block_of, read_header, require_content
from modelkit.messages import bounded

PARQUET = ".parquet"
SUFFIXES = (".csv", ".csv.gz", PARQUET)
"""The files that are read."""

BLOCK_BYTES = 4 * 1024 * 1024
"""How much of a CSV file is read at once."""

PIECE_ROWS = 4096
"""The most rows of a piece: enough for Arrow, and few enough that a small file too is written while it is predicted."""


@dataclass(frozen=True)
class InputFile:
    """A file of rows.

    Attributes:
        name: Its name below the folder that was given.
        path: The file.
        columns: The names of its columns, as the file has them.
    """

    name: str
    path: Path
    columns: tuple[str, ...]

    @classmethod
    def of(cls, name: str, path: Path) -> "InputFile":
        """Look at the columns of a file.

        Raises:
            MlopsError: It cannot be read, or is of another kind.
        """
        if not name.endswith(SUFFIXES):
            raise UsageError(f"{path} is not a file of rows.", f"Known endings: {', '.join(SUFFIXES)}.")
        with _readable(path):
            require_content(str(path), path)
            names = parquet.read_schema(path).names if path.suffix == PARQUET else read_header(str(path), path)
        return cls(name, path, tuple(names))

    def pieces(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yield the rows, in pieces of at most `PIECE_ROWS`, as Arrow tables: text from CSV, typed from Parquet.

        The first piece is empty, so that a file without rows has its columns too.

        Raises:
            MlopsError: The file is damaged, or a row has too few or too many values.
        """
        with _readable(self.path):
            budget = limits.of_data([(self.name, self.path.stat().st_size)], in_memory=False)
            read = _parquet_pieces if self.path.suffix == PARQUET else _csv_pieces
            for table in read(self, columns, budget):
                yield from (table.slice(start, PIECE_ROWS) for start in range(0, max(1, table.num_rows), PIECE_ROWS))


def find_files(path: Path) -> list[InputFile]:
    """Return a file, or the data files of a folder and its subfolders (`base.files.data_files`).

    Raises:
        MlopsError: There is none, or one of them cannot be read.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist.")
    files = [InputFile.of(name, file) for name, file in data_files(path)[0]]
    if not files:
        raise UsageError(f"There is no file in {path}.", f"It takes {', '.join(SUFFIXES)}.")
    return files


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong while it is read."""
    try:
        yield
    except FileError as error:
        raise UsageError(bounded(f"{error}.")) from None
    except (pa.ArrowException, csv.Error, EOFError, OSError, ValueError) as error:
        raise UsageError(bounded(f"{path} cannot be read: {error}.")) from None


def _csv_pieces(file: InputFile, columns: Sequence[str], budget: limits.Budget) -> Iterator[Any]:
    positions = {name: str(position) for position, name in enumerate(file.columns)}
    ragged: list[Any] = []
    block = block_of(file.path, budget, BLOCK_BYTES)

    def refuse(row: Any) -> str:
        ragged.append(row)
        return "error"

    try:
        reader = arrow_csv.open_csv(
            file.path,
            read_options=arrow_csv.ReadOptions(
                column_names=list(map(str, range(len(file.columns)))),  # a header may name a column twice
                skip_rows=1,
                block_size=block.size,
                use_threads=False,  # else rows are not numbered
            ),
            parse_options=arrow_csv.ParseOptions(invalid_row_handler=refuse, newlines_in_values=block.quoted),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=[positions[name] for name in columns],
                column_types=dict.fromkeys(positions.values(), pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        yield pa.table([[]] * len(columns), pa.schema([(name, pa.string()) for name in columns]))
        for read in reader:
            yield pa.table(read.columns, names=list(columns))
    except pa.ArrowInvalid:
        if not ragged:
            raise
        row = ragged[0]
        raise UsageError(
            f"{file.path}: row {row.number - 1} has {row.actual_columns} values, not {row.expected_columns}.",
        ) from None


def _parquet_pieces(file: InputFile, columns: Sequence[str], budget: limits.Budget) -> Iterator[Any]:
    nested = sorted({*columns} - {*parquet_files.flat(parquet.read_schema(file.path))})
    if nested:
        raise UsageError(f"{file.path}: columns of lists or structs are not rows of values: {', '.join(nested)}.")
    for piece in parquet_files.pieces(file.path, columns, budget):
        yield piece.select(list(columns))
