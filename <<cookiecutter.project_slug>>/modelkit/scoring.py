"""Scoring with the code in a model's archive; runs in a separate process, see `modelkit.champion`.

`model` and `modelkit` are imported by `import_module` only: they are those of the archive, of any release.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet


def score(folder: Path, table: Any) -> Any:
    """Return the n predictions of the model in a folder for n raw rows.

    Raises:
        ValueError: The rows lack columns that the model needs, or have other types.
        Exception: Any exception of the archive's code.
    """
    kit = "modelkit" if (folder / "code/modelkit").is_dir() else "model"  # release 0.4.0 had no modelkit
    features, parsing = import_module(f"{kit}.features"), import_module(f"{kit}.parsing")
    schema, derived = import_module("model.schema").SCHEMA, import_module("model.derive").DERIVED
    lacking = [name for name in schema.feature_names if name not in table.column_names]
    if lacking:
        raise ValueError(f"it needs columns that are not in the data: {', '.join(lacking)}")
    columns = {column.name: parsing.parse(table[column.name], column) for column in schema.features}
    invalid = [name for name, parsed in columns.items() if parsed.invalid is not None]
    if invalid:
        raise ValueError(f"it needs other types for the columns: {', '.join(invalid)}")
    typed = pa.table({name: parsed.values for name, parsed in columns.items()})
    handlers = import_module("inference")
    return handlers.predict_fn(features.matrix(typed, schema, derived), handlers.model_fn(str(folder)))


def main(folder: str, rows: str, predictions: str) -> int:
    """Write the predictions for a Parquet file of rows as a NumPy file; print the error and return 1 on failure."""
    try:
        np.save(predictions, score(Path(folder), parquet.read_table(rows, partitioning=None)))
    except Exception as error:  # the archive's code may raise anything
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
