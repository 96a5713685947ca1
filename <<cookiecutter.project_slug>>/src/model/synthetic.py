"""Make rows that follow the schema, for tests, demonstrations and measurements.

Whatever the schema declares, the target depends on the features in one fixed way, so that a model can learn it; the
knobs then bend the data. The same arguments always give the same rows.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow_csv

from model.dataset import write_parquet
from model.job import JobError, JobParser, run
from model.parsing import ARROW_TYPES
from model.schema import SCHEMA, Column, Schema

_STEEPNESS = 1.2
_ROWS_PER_GROUP = 4


def generate(
    schema: Schema, rows: int, seed: int, bias: float = 0.0, drift: float = 0.0, null_fraction: float = 0.05
) -> Any:
    """Return an Arrow table of n rows with the schema's columns and types.

    Args:
        schema: What the columns are.
        rows: How many rows.
        seed: Another seed, other rows.
        bias: How much lower the log-odds of the target are in the facet's disadvantaged group.
        drift: By how many standard deviations every numeric feature is moved up, within its limits.
        null_fraction: The share of missing values in nullable columns.
    """
    random = np.random.default_rng(seed)
    keys = _keys(schema, rows)
    neutral = {*keys, schema.facet.column if schema.facet else None}  # without bias, groups fare alike
    columns: dict[str, Any] = {}
    log_odds = np.zeros(rows)
    for position, column in enumerate(schema.columns):
        if column.role == "target":
            continue
        scores = random.normal(size=rows)
        if column.name in keys:
            values = keys[column.name]
        else:
            values, scores = _values(column, scores, drift if column.role == "feature" else 0.0)
        if column.role == "feature" and column.name not in neutral:
            weight = np.cos(2.0 * position)  # of either sign, and the same whatever the seed
            log_odds += weight * scores
        missing = random.random(rows) < null_fraction if column.nullable else None
        columns[column.name] = pa.array(values, ARROW_TYPES[column.type], mask=missing)
    log_odds *= _STEEPNESS / np.sqrt(max(1, len(schema.features)) / 2)
    if schema.facet is not None:
        protected = columns[schema.facet.column].to_numpy(zero_copy_only=False) == schema.facet.disadvantaged
        log_odds -= bias * protected
    target = random.random(rows) < 1 / (1 + np.exp(-log_odds))
    columns[schema.target] = pa.array(target)
    return pa.table({name: columns[name] for name in schema.names})


def write(table: Any, path: Path) -> None:
    """Write a table as CSV or Parquet, by the file's suffix; in CSV a boolean is 0 or 1.

    Raises:
        JobError: The suffix is neither.
    """
    if path.suffix == ".parquet":
        write_parquet(table, path)
        return
    if path.suffix != ".csv":
        raise JobError(f"{path}: the file's name must end in .csv or .parquet")
    fields = [pa.field(f.name, pa.int8() if pa.types.is_boolean(f.type) else f.type) for f in table.schema]
    path.parent.mkdir(parents=True, exist_ok=True)
    options = arrow_csv.WriteOptions(quoting_style="none", quoting_header="none")
    arrow_csv.write_csv(table.cast(pa.schema(fields)), path, options)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a file of rows."""
    parser = JobParser("synthetic", __doc__)
    parser.add_argument("--rows", type=int, default=10_000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    parser.add_argument("--bias", type=float, default=0.0, metavar="B", help="lower log-odds in the facet's group")
    parser.add_argument("--drift", type=float, default=0.0, metavar="D", help="standard deviations numbers move up")
    parser.add_argument("--null-fraction", type=float, default=0.05, metavar="F", help="default %(default)s")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a .csv or .parquet file")
    return run(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    if arguments.rows < 1 or arguments.seed < 0:
        raise JobError("--rows must be at least 1, and --seed at least 0")
    if not 0 <= arguments.null_fraction <= 1:
        raise JobError(f"--null-fraction must be between 0 and 1, not {arguments.null_fraction:g}")
    table = generate(SCHEMA, arguments.rows, arguments.seed, arguments.bias, arguments.drift, arguments.null_fraction)
    write(table, arguments.output)


def _keys(schema: Schema, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Return the values of the group and key columns: a few rows for each group, no key twice."""
    row = np.arange(rows)
    names = dict.fromkeys((schema.group, *schema.key))
    if len(names) == 1:
        per_group = 1 if schema.key else _ROWS_PER_GROUP
        return {schema.group: _counted(schema.column(schema.group), row // per_group)}
    within = next(name for name in names if name != schema.group)
    per_group = min(_ROWS_PER_GROUP, _span(schema.column(within)))
    return {
        schema.group: _counted(schema.column(schema.group), row // per_group),
        within: _counted(schema.column(within), row % per_group),
    }


def _span(column: Column) -> int:
    """Return how many different values a column can count through, as far as declared."""
    if column.type == "boolean":
        return 2
    if column.categories:
        return len(column.categories)
    if column.minimum is None or column.maximum is None:
        return _ROWS_PER_GROUP
    return int(column.maximum - column.minimum) + 1


def _counted(column: Column, counts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    if column.categories:
        return np.array(column.categories, dtype=object)[counts]
    if column.type == "string":
        return counts.astype(str).astype(object)
    return counts.astype(bool) if column.type == "boolean" else counts + int(column.minimum or 0)


def _values(
    column: Column, scores: npt.NDArray[np.float64], drift: float
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Turn standard normal scores into a column's values, and return these with the scores they stand for."""
    if column.type == "boolean":
        return scores > 0, np.sign(scores)
    if column.type == "string":
        categories = np.array(column.categories or ("a", "b", "c"), dtype=object)
        code = np.clip((scores + 2) / 4 * len(categories), 0, len(categories) - 1).astype(int)
        return categories[code], (code - code.mean()) / max(1.0, code.std())
    moved = scores + drift
    low = column.minimum if column.minimum is not None else -3.0
    high = column.maximum if column.maximum is not None else low + 6.0
    values = np.clip((low + high) / 2 + moved * (high - low) / 6, low, high)
    return (np.rint(values).astype(np.int64) if column.type == "integer" else np.round(values, 2)), moved


if __name__ == "__main__":
    sys.exit(main())
