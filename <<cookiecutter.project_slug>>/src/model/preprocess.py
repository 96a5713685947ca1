"""Splits the data into training, validation and test rows. Filter rows here as well.

Decide on each row (or group) alone: each instance of the job has a share of the files, and all must split alike.
"""

from typing import Any

from model.schema import SCHEMA
from modelkit import splitting


def split(table: Any, train_fraction: float, validation_fraction: float, seed: int) -> dict[str, Any]:
    """Return the tables `train`, `validation` and `test`; rows of a group stay together.

    Args:
        table: Arrow table with the columns and types of the schema. To drop rows:
            `table = table.filter(pc.greater_equal(table["age"], 18))`, with `import pyarrow.compute as pc`.
        train_fraction: The share of groups for training.
        validation_fraction: The share of groups for early stopping; the rest is for the test.
        seed: The seed of the split.
    """
    return splitting.by_group(table, SCHEMA.group, train_fraction, validation_fraction, seed)
