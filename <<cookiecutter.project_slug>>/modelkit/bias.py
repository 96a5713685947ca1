"""Pre-training bias: bias in the data itself.

The two metrics and their signs are those of Amazon SageMaker Clarify (Hardt et al., "Amazon SageMaker Clarify: Machine
Learning Bias Detection and Explainability in the Cloud", KDD 2021, section 4.1): 0 is balanced, a positive value is to
the disadvantage of the protected group.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class DataBias:
    """The bias between the two groups of a facet.

    Attributes:
        class_imbalance: CI = (n_a - n_d) / (n_a + n_d), -1 to 1: how much rarer the disadvantaged group d is than the
            other rows a.
        label_difference: DPL = q_a - q_d, -1 to 1: how much rarer the positive label is in group d; None if a group
            is empty.
        rows: The number of rows with both facet and label.
    """

    class_imbalance: float
    label_difference: float | None
    rows: int


def measure(facet: Any, disadvantaged: bool | int | str, label: Any) -> DataBias | None:
    """Measure the bias between the rows whose facet has the disadvantaged value and the others.

    Args:
        facet: Arrow array of n values.
        disadvantaged: The value of the protected group.
        label: Boolean Arrow array of n values, true for the positive label.

    Returns:
        The metrics; None if no row has both values.
    """
    known = pc.and_(pc.is_valid(facet), pc.is_valid(label))
    protected = pc.and_(known, pc.equal(facet, pa.scalar(disadvantaged, facet.type)))
    others = pc.and_(known, pc.invert(pc.fill_null(protected, False)))
    rows, size_d, size_a = _count(known), _count(protected), _count(others)
    if rows == 0:
        return None
    difference = None
    if size_d and size_a:
        difference = _count(pc.and_(others, label)) / size_a - _count(pc.and_(protected, label)) / size_d
    return DataBias((size_a - size_d) / rows, difference, rows)


def _count(mask: Any) -> int:
    return int(pc.sum(mask).as_py() or 0)
