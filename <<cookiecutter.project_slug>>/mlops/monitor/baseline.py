"""Write the baseline of a data set: its statistics and the constraints that follow from them."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from mlops.base.errors import MlopsError
from mlops.monitor.statistics import constraints, statistics

STATISTICS_FILE = "statistics.json"
CONSTRAINTS_FILE = "constraints.json"
_READERS = {".parquet": parquet.read_table, ".csv": arrow_csv.read_csv, ".csv.gz": arrow_csv.read_csv}


def read(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Read the .parquet, .csv and .csv.gz files of a folder and its subfolders into one Arrow table.

    Args:
        path: The folder, or a single file; hidden files and those named `_...` are left out.
        columns: The columns to keep; None for all.

    Raises:
        MlopsError: There is no file or no row, a file cannot be read, the files differ, a column is missing or holds
            an infinite value.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    files = [file for file in files if not file.name.startswith((".", "_"))]
    if not files:
        raise MlopsError(f"{path}: there is no file to read.", "Give --data a folder of .parquet or .csv files.")
    tables = [_read_file(file, columns) for file in files]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise MlopsError(f"{path}: the files do not have the same columns and types: {error}.") from error
    if table.num_rows == 0:
        raise MlopsError(f"{path}: there are no rows, so there is no baseline.")
    for name in table.column_names:
        if pa.types.is_floating(table[name].type) and pc.any(pc.is_inf(table[name])).as_py():
            raise MlopsError(f"{path}: column '{name}' holds an infinite value, which no statistic can describe.")
    return table


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document as JSON, making its folder when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the two documents; exit code 1 when the data cannot be described."""
    parser = argparse.ArgumentParser(prog="python -m mlops.monitor.baseline", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data files' folder, or one file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help=f"gets {STATISTICS_FILE} and {CONSTRAINTS_FILE}"
    )
    parser.add_argument("--columns", metavar="A,B", help="the columns to describe (default: all)")
    arguments = parser.parse_args(argv)
    columns = [name.strip() for name in arguments.columns.split(",")] if arguments.columns else None
    try:
        found = statistics(read(arguments.data, columns))
        write(arguments.output / STATISTICS_FILE, found)
        write(arguments.output / CONSTRAINTS_FILE, constraints(found))
    except (MlopsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"baseline of {found['dataset']['item_count']} rows and {len(found['features'])} columns")
    return 0


def _read_file(path: Path, columns: Sequence[str] | None) -> Any:
    reader = next((reader for suffix, reader in _READERS.items() if path.name.endswith(suffix)), None)
    if reader is None:
        raise MlopsError(f"{path}: not a data file.", f"Files must end in {', '.join(_READERS)}.")
    try:
        table = reader(path)
    except (pa.ArrowException, OSError) as error:
        raise MlopsError(f"{path}: the file cannot be read: {error}.") from error
    if columns is None:
        return table
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise MlopsError(f"{path}: no such column: {', '.join(missing)}.", f"It has {', '.join(table.column_names)}.")
    return table.select(columns)


if __name__ == "__main__":
    sys.exit(main())
