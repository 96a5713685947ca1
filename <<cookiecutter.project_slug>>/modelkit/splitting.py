"""Splits rows into train, validation and test, with all rows of a group in the same split.

The split of a row depends only on its group and the seed. So any number of instances, each with a share of the files in
any order, make the same split without communication.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelkit.job import JobError

SPLITS = ("train", "validation", "test")


def positions(groups: Any, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each of n rows, uniform over groups and the same for all rows of a group.

    Args:
        groups: Arrow array of n integers or strings, none of them null.
        seed: The seed of the split.
    """
    encoded = pc.dictionary_encode(groups)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    key = str(seed).encode()
    digests = b"".join(
        hashlib.blake2b(str(group).encode(), digest_size=8, key=key).digest()
        for group in encoded.dictionary.to_pylist()
    )
    top_53_bits = np.frombuffer(digests, dtype="<u8") >> np.uint64(11)  # the precision of a float64
    return np.asarray((top_53_bits / 2.0**53)[encoded.indices.to_numpy()])


def by_group(table: Any, group: str, train_fraction: float, validation_fraction: float, seed: int) -> dict[str, Any]:
    """Split a table into train, validation and test tables; the test table gets the rest.

    Raises:
        JobError: A row has no group, or a split has no rows.
    """
    if table[group].null_count:
        raise JobError(f"column '{group}': {table[group].null_count} rows have no value; the split requires one")
    place = np.digitize(positions(table[group], seed), [train_fraction, train_fraction + validation_fraction])
    parts = {name: table.filter(pa.array(place == index)) for index, name in enumerate(SPLITS)}
    for name, part in parts.items():
        if part.num_rows == 0:
            groups = pc.count_distinct(table[group]).as_py()
            raise JobError(
                f"the {name} split is empty: {table.num_rows} rows with {groups} values of '{group}' are too few"
            )
    return parts
