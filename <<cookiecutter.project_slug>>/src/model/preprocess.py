"""Which rows are kept, and which of them train, validate and test the model.

Look at each row by itself: each instance of the job sees a share of the files, and all must make the same split.
"""

from typing import Any

from model.schema import SCHEMA
from modelkit import splitting


def split(table: Any, train_fraction: float, validation_fraction: float, seed: int) -> dict[str, Any]:
    """Return the rows of `train`, `validation` and `test`, all rows of a group together.

    Args:
        table: Arrow table with the schema's columns in their types. Drop rows here:
            `table = table.filter(pc.greater_equal(table["age"], 18))`, with `import pyarrow.compute as pc`.
        train_fraction: The share of the groups to train with.
        validation_fraction: The share that says when to stop; the rest is for the test.
        seed: Another seed, another split.
    """
    return splitting.by_group(table, SCHEMA.group, train_fraction, validation_fraction, seed)
