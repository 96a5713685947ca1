"""The feature matrix of the model, computed from a typed table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelkit.derived import Derivation, completed
from modelkit.job import JobError
from modelkit.schema import Column, Schema


def matrix(table: Any, schema: Schema, derived: Mapping[str, Derivation]) -> npt.NDArray[np.float32]:
    """Return the features of n rows as an (n, f + d) matrix, with NaN for missing values.

    The schema's f features come first, in its order, then the d derived ones. A category is encoded as its position in
    the schema's list.

    Raises:
        JobError: A string is not one of its column's categories, or a derived feature does not fit the schema.
    """
    result = np.empty((table.num_rows, len(schema.features)), dtype=np.float32)
    for position, column in enumerate(schema.features):
        values = table[column.name]
        codes = _codes(values, column) if column.type == "string" else values
        result[:, position] = pc.fill_null(pc.cast(codes, pa.float64()), float("nan")).to_numpy()
    return _completed(result, schema, derived)


def check_derived(schema: Schema, derived: Mapping[str, Derivation]) -> None:
    """Check, without data, that the derived features can be computed from the schema's.

    Raises:
        JobError: A derived feature cannot be computed.
    """
    _completed(np.empty((0, len(schema.features)), dtype=np.float32), schema, derived)


def labels(table: Any, schema: Schema) -> npt.NDArray[np.float32]:
    """Return the target of n rows as n values, 0 or 1.

    Raises:
        JobError: A row has no target.
    """
    target = table[schema.target]
    if target.null_count:
        raise JobError(f"column '{schema.target}': {target.null_count} rows have no value; the target is required")
    return np.asarray(pc.cast(target, pa.float32()).to_numpy())


def _completed(
    raw: npt.NDArray[np.float32], schema: Schema, derived: Mapping[str, Derivation]
) -> npt.NDArray[np.float32]:
    try:
        return completed(raw, schema.feature_names, derived)
    except ValueError as error:
        raise JobError(str(error)) from error


def _codes(values: Any, column: Column) -> Any:
    codes = pc.index_in(values, value_set=pa.array(column.categories))
    unknown = pc.and_(pc.is_null(codes), pc.is_valid(values))
    if pc.any(unknown).as_py():
        value = pc.filter(values, unknown)[0].as_py()
        raise JobError(f"column '{column.name}': '{value:.60}' is not {column.expected}")
    return codes
