"""Generates rows for tests, demonstrations and benchmarks, from the schema or by resampling a data set.

In rows from the schema, the target depends on the features in a fixed way, so that a model can learn it; resampled rows
keep their target. Options add bias, drift and missing values. The same arguments always give the same rows.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from modelkit import owner
from modelkit.dataset import write_parquet
from modelkit.job import JobError, JobParser, run
from modelkit.parsing import ARROW_TYPES
from modelkit.schema import Column, Schema

_STEEPNESS = 1.2
_ROWS_PER_GROUP = 4


def generate(
    schema: Schema, rows: int, seed: int, bias: float = 0.0, drift: float = 0.0, null_fraction: float = 0.05
) -> Any:
    """Return an Arrow table of n rows with the schema's columns and types.

    Args:
        schema: The schema.
        rows: The number of rows.
        seed: The seed of the random numbers.
        bias: The decrease of the log-odds of the target in the facet's disadvantaged group.
        drift: The shift of every numeric feature in standard deviations, within its limits.
        null_fraction: The share of missing values in nullable columns.
    """
    random = np.random.default_rng(seed)
    keys = _keys(schema, rows)
    neutral = {*keys, schema.facet.column if schema.facet else None}  # without bias, the groups do not differ
    columns: dict[str, Any] = {}
    log_odds = np.zeros(rows)
    for position, column in enumerate(schema.read):
        if column.role == "target":
            continue
        scores = random.normal(size=rows)
        if column.name in keys:
            values = keys[column.name]
        else:
            values, scores = _values(column, scores, drift if column.role == "feature" else 0.0)
        if column.role == "feature" and column.name not in neutral:
            weight = np.cos(2.0 * position)  # of either sign, independent of the seed
            log_odds += weight * scores
        missing = random.random(rows) < null_fraction if column.nullable and column.name not in keys else None
        columns[column.name] = pa.array(values, ARROW_TYPES[column.type], mask=missing)
    log_odds *= _STEEPNESS / np.sqrt(max(1, len(schema.features)) / 2)
    if schema.facet is not None:
        protected = columns[schema.facet.column].to_numpy(zero_copy_only=False) == schema.facet.disadvantaged
        log_odds -= bias * protected
    target = random.random(rows) < 1 / (1 + np.exp(-log_odds))
    columns[schema.target] = pa.array(target)
    return pa.table({name: columns[name] for name in schema.names})


def resample(table: Any, schema: Schema, rows: int, seed: int, drift: float = 0.0) -> Any:
    """Return an Arrow table of n rows sampled from another, with replacement, as later data.

    Rows get new identifiers, so that they can be combined with the rows that they were sampled from; they keep their
    target, even if their features are shifted.

    Args:
        table: The rows to sample from, with the schema's columns and types.
        schema: The schema.
        rows: The number of rows.
        seed: The seed of the sampling.
        drift: The shift of every numeric feature in its standard deviations, within its limits.

    Raises:
        JobError: There are no rows to sample from, or too few unused values of an identifier.
    """
    if table.num_rows == 0:
        raise JobError("there are no rows to sample from")
    drawn = table.take(pa.array(np.random.default_rng(seed).integers(table.num_rows, size=rows)))
    columns = {name: drawn[name] for name in schema.names}
    for name in {schema.group, *schema.key}:
        column = schema.column(name)
        if column.role == "attribute" and column.type in ("integer", "string"):
            columns[name] = _fresh(table[name], column, rows, seed)
    for column in schema.features:
        if drift and column.type in ("integer", "number"):
            deviation = pc.stddev(table[column.name]).as_py() or 0.0
            columns[column.name] = _moved(drawn[column.name], column, drift * deviation)
    return pa.table(columns)


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
    options = arrow_csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    arrow_csv.write_csv(table.cast(pa.schema(fields)), path, options)


def main(argv: Sequence[str] | None = None) -> int:
    """Generate a file of rows."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("synthetic", __doc__)
    parser.add_argument("--rows", type=int, default=10_000, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    parser.add_argument("--bias", type=float, default=0.0, metavar="B", help="lower log-odds in the facet's group")
    parser.add_argument("--drift", type=float, default=0.0, metavar="D", help="shift of numbers in standard deviations")
    parser.add_argument("--null-fraction", type=float, default=0.05, metavar="F", help="default %(default)s")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="a .csv or .parquet file")
    return parser


def _work(arguments: argparse.Namespace) -> None:
    if arguments.rows < 1 or arguments.seed < 0:
        raise JobError("--rows must be at least 1, and --seed at least 0")
    if not 0 <= arguments.null_fraction <= 1:
        raise JobError(f"--null-fraction must be between 0 and 1, not {arguments.null_fraction:g}")
    schema: Schema = owner.load("schema", "SCHEMA")
    table = generate(schema, arguments.rows, arguments.seed, arguments.bias, arguments.drift, arguments.null_fraction)
    write(table, arguments.output)


def _keys(schema: Schema, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Return the values of the group and of a key column that differs within a group; each group has a few rows.

    Keys are unique as long as the limits and categories of their columns allow it.
    """
    row = np.arange(rows)
    group = schema.column(schema.group)
    others = sorted((schema.column(name) for name in schema.key if name != schema.group), key=_span, reverse=True)
    if schema.key == (schema.group,):
        return {group.name: _counted(group, row)}
    if not others:
        return {group.name: _counted(group, row // _ROWS_PER_GROUP)}
    other = others[0]
    if schema.group not in schema.key:
        return {group.name: _counted(group, row // _ROWS_PER_GROUP), other.name: _counted(other, row)}
    per_group = int(min(_ROWS_PER_GROUP, _span(other)))
    return {group.name: _counted(group, row // per_group), other.name: _counted(other, row % per_group)}


def _fresh(taken: Any, column: Column, rows: int, seed: int) -> Any:
    """Return n distinct identifiers that are not taken; they depend on the seed."""
    if column.type == "string" and not column.categories:
        return pa.array([f"{seed}-{row}" for row in range(rows)])
    first = (pc.max(taken).as_py() or 0) + 1 + seed * rows if column.type == "integer" else 0
    if column.categories or (column.maximum is not None and first + rows - 1 > column.maximum):
        raise JobError(
            f"column '{column.name}' has no {rows} unused values for identifiers: see its limits in the schema"
        )
    return pa.array(range(first, first + rows), pa.int64())


def _moved(values: Any, column: Column, distance: float) -> Any:
    moved = pc.add(pc.cast(values, pa.float64()), distance)
    if column.minimum is not None:
        moved = pc.max_element_wise(moved, column.minimum, skip_nulls=False)
    if column.maximum is not None:
        moved = pc.min_element_wise(moved, column.maximum, skip_nulls=False)
    return pc.cast(pc.round(moved) if column.type == "integer" else moved, ARROW_TYPES[column.type])


def _span(column: Column) -> float:
    """Return the number of distinct values that the declaration of a column allows."""
    if column.type == "boolean":
        return 2
    if column.categories:
        return len(column.categories)
    if column.type == "string" or column.maximum is None:
        return np.inf
    return max(1, int(column.maximum - (column.minimum or 0)) + 1)


def _counted(column: Column, counts: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return a value of the column for each count: distinct ones, until the column has no more and they repeat."""
    if np.isfinite(_span(column)):
        counts = counts % int(_span(column))
    if column.categories:
        return np.array(column.categories, dtype=object)[counts]
    if column.type == "string":
        return counts.astype(str).astype(object)
    return counts.astype(bool) if column.type == "boolean" else counts + int(column.minimum or 0)


def _values(
    column: Column, scores: npt.NDArray[np.float64], drift: float
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Convert standard normal scores to values of a column; return these with the scores that they correspond to."""
    if column.type == "boolean":
        return scores > 0, np.sign(scores)
    if column.type == "string":
        categories = np.array(column.categories or ("a", "b", "c"), dtype=object)
        code = np.clip((scores + 2) / 4 * len(categories), 0, len(categories) - 1).astype(int)
        return categories[code], (code - code.mean()) / max(1.0, code.std())
    moved = scores + drift
    low, high = _limits(column)
    values = np.clip((low + high) / 2 + moved * (high - low) / 6, low, high)
    if column.type == "integer":
        return np.rint(values).astype(np.int64), moved
    decimals = 2 if high - low >= 1 else 2 - math.floor(math.log10(max(high - low, 1e-30)))
    return np.clip(np.round(values, decimals), low, high), moved


def _limits(column: Column) -> tuple[float, float]:
    """Return a column's limits; a missing limit is 6 away from the declared one, and without any they are -3 and 3."""
    if column.minimum is not None:
        return column.minimum, column.minimum + 6.0 if column.maximum is None else column.maximum
    return (-3.0, 3.0) if column.maximum is None else (column.maximum - 6.0, column.maximum)


if __name__ == "__main__":
    sys.exit(main())
