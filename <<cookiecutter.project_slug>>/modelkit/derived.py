"""Derived features: computed from other features, for rows of any source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Columns:
    """The schema's features as columns: `columns["age"]` is an array of n values.

    Numbers are unchanged, a boolean is 0 or 1, a string its position among the categories, a missing value NaN.

    Attributes:
        matrix: The (n, f) matrix of the features.
        names: Their f names.
    """

    matrix: Values
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Values:
        """Return the values of a feature.

        Raises:
            ValueError: The schema has no such feature.
        """
        try:
            return self.matrix[:, self.names.index(name)]
        except ValueError:
            message = f"model/derive.py: the schema has no feature '{name}'; change the features derived from it"
            raise ValueError(message) from None


Derivation = Callable[[Columns], Values]
"""Computes n values from the columns; NaN and infinite values count as missing."""


def completed(raw: Values, names: tuple[str, ...], derived: Mapping[str, Derivation]) -> Values:
    """Append the derived features to the raw ones.

    Args:
        raw: The (n, f) matrix of the schema's features.
        names: Their f names.
        derived: The functions of the d derived features, by name.

    Returns:
        The (n, f + d) matrix.

    Raises:
        ValueError: A function uses an unknown feature, does not return one value per row, or has the name of a feature.
    """
    rows, width = raw.shape
    columns = Columns(raw, names)
    result = np.empty((rows, width + len(derived)), dtype=np.float32)
    result[:, :width] = raw
    with np.errstate(all="ignore"):
        for position, (name, function) in enumerate(derived.items(), width):
            values = np.asarray(function(columns), dtype=np.float32)
            if values.shape != (rows,):
                raise ValueError(f"model/derive.py: '{name}' must return one value per row, not shape {values.shape}")
            if name in names:
                raise ValueError(f"model/derive.py: '{name}' is the name of a feature of the schema")
            result[:, position] = values
    added = result[:, width:]
    added[np.isinf(added)] = np.nan
    return result
