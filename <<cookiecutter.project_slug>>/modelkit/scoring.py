"""Scoring with the code in a model's archive; runs in a separate process, see `modelkit.champion`.

Rows that the model does not take, because a value is not of its type or of its categories, get no prediction.

`model` and `modelkit` are imported by `import_module` only: they are those of the archive, of any release.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

_LISTED = 10


def score(folder: Path, table: Any, target: str) -> Any:
    """Return the n predictions of the model in a folder for n raw rows, NaN for rows that it does not take.

    Raises:
        ValueError: It predicts another target, the rows lack columns that it needs, or it takes none of them.
        Exception: Any exception of the archive's code.
    """
    kit = "modelkit" if (folder / "code/modelkit").is_dir() else "model"  # release 0.4.0 had no modelkit
    features, parsing = import_module(f"{kit}.features"), import_module(f"{kit}.parsing")
    schema, derived = import_module("model.schema").SCHEMA, import_module("model.derive").DERIVED
    if schema.target != target:
        raise ValueError(f"it predicts '{schema.target}', not '{target}'")
    lacking = [name for name in schema.feature_names if name not in table.column_names]
    if lacking:
        raise ValueError(f"it needs columns that are not in the data: {', '.join(lacking[:_LISTED])}")
    notation = [schema.notation] if hasattr(schema, "notation") else []  # release 0.4.0 had none
    columns, taken, refused = {}, np.ones(table.num_rows, bool), []
    for column in schema.features:
        parsed = parsing.parse(table[column.name], column, *notation)
        valid = ~_refused(parsed, column)
        columns[column.name], taken = parsed.values, taken & valid
        refused += [column.name] if not valid.all() else []
    if not taken.any():
        raise ValueError(f"it takes none of the rows, because of the values of: {', '.join(refused[:_LISTED])}")
    matrix = features.matrix(pa.table(columns).filter(pa.array(taken)), schema, derived)
    handlers = import_module("inference")
    found = np.asarray(handlers.predict_fn(matrix, handlers.model_fn(str(folder))))
    if found.shape != (len(matrix),):
        raise ValueError(f"it returns predictions of shape {found.shape} for {len(matrix)} rows")
    predictions = np.full(len(taken), np.nan, dtype=np.float32)
    predictions[taken] = found
    return predictions


def _refused(parsed: Any, column: Any) -> Any:
    """Whether each of n values is of another type, or none of the categories of its column."""
    refused = np.zeros(len(parsed.values), bool)
    if parsed.invalid is not None:
        refused |= np.asarray(pc.fill_null(parsed.invalid, False))
    if column.categories:
        known = pc.is_in(parsed.values, value_set=pa.array(column.categories))
        refused |= np.asarray(pc.and_(pc.is_valid(parsed.values), pc.invert(known)))
    return refused


def main(folder: str, target: str, rows: str, predictions: str) -> int:
    """Write the predictions for a Parquet file of rows as a NumPy file; print the error and return 1 on failure."""
    try:
        np.save(predictions, score(Path(folder), parquet.read_table(rows, partitioning=None), target))
    except Exception as error:  # the archive's code may raise anything
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
