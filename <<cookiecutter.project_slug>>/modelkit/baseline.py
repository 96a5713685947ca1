"""Reading of the data set that a baseline describes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from modelkit import limits, parquet_files
from modelkit.job import JobError

STATISTICS_FILE = "statistics.json"
CONSTRAINTS_FILE = "constraints.json"
EVALUATION_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.json"
PREDICTION = "prediction"
"""The name of the predictions in the latter, as that of a feature."""

_SUFFIXES = (".parquet", ".csv", ".csv.gz")


def read(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Read the .parquet, .csv and .csv.gz files of a folder and its subfolders into one Arrow table.

    Args:
        path: The folder, or a single file; hidden files and those named `_...` are skipped.
        columns: The columns to keep; None for all.

    Raises:
        JobError: There are no files or no rows, a file cannot be read, the files have different columns, or a column
            is missing or contains an infinite value.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in files if not file.name.startswith((".", "_"))]
    if not files:
        raise JobError(f"{path}: no files to read; pass a folder of .parquet or .csv files as --data")
    budget = limits.of_data(((file.name, file.stat().st_size) for file in files), in_memory=True)
    tables = [_read_file(file, columns, budget) for file in files]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise JobError(f"{path}: the files do not have the same columns and types: {error}") from error
    if table.num_rows == 0:
        raise JobError(f"{path}: no rows to describe")
    for name in table.column_names:
        if pa.types.is_floating(table[name].type) and pc.any(pc.is_inf(table[name])).as_py():
            raise JobError(f"{path}: column '{name}' contains an infinite value; statistics need finite values")
    return table


def _read_file(path: Path, columns: Sequence[str] | None, budget: limits.Budget) -> Any:
    if not path.name.endswith(_SUFFIXES):
        raise JobError(f"{path}: not a data file; files must end in {', '.join(_SUFFIXES)}")
    try:
        if path.suffix == ".parquet":
            flat = parquet_files.flat(parquet.read_schema(path))
            table = pa.concat_tables(parquet_files.pieces(path, flat, budget))
        else:
            for _ in limits.text(path, budget):
                pass  # counted before it is read
            table = arrow_csv.read_csv(path)
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise JobError(f"{path}: the file cannot be read: {error}") from error
    if columns is None:
        return table
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise JobError(f"{path}: no such column: {', '.join(missing)}; it has {', '.join(table.column_names)}")
    return table.select(columns)
