"""Score rows with the code in a model's archive, in a process of its own: see `modelkit.champion`.

Only `import_module` imports `model` and `modelkit` here: they are those of the archive, whatever release made it.
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
        ValueError: The model needs columns or values that the rows do not have.
        Exception: Anything that the model's own code raises.
    """
    kit = "modelkit" if (folder / "code/modelkit").is_dir() else "model"  # release 0.4.0 had no modelkit
    features, parsing = import_module(f"{kit}.features"), import_module(f"{kit}.parsing")
    schema, derived = import_module("model.schema").SCHEMA, import_module("model.derive").DERIVED
    lacking = [name for name in schema.feature_names if name not in table.column_names]
    if lacking:
        raise ValueError(f"it needs columns that the data lacks: {', '.join(lacking)}")
    columns = {column.name: parsing.parse(table[column.name], column) for column in schema.features}
    invalid = [name for name, parsed in columns.items() if parsed.invalid is not None]
    if invalid:
        raise ValueError(f"it needs other types than the data has: {', '.join(invalid)}")
    typed = pa.table({name: parsed.values for name, parsed in columns.items()})
    handlers = import_module("inference")
    return handlers.predict_fn(features.matrix(typed, schema, derived), handlers.model_fn(str(folder)))


def main(folder: str, rows: str, predictions: str) -> int:
    """Write the predictions for a Parquet file of rows as a NumPy file; 1 with the reason when there are none."""
    try:
        np.save(predictions, score(Path(folder), parquet.read_table(rows)))
    except Exception as error:  # the model's own code: anything may come out of it
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
