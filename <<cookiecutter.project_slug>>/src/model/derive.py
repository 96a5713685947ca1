"""Derived features: features computed from those of the schema. Add your own here.

Training, evaluation and inference use these functions, so that they see the same values; requests contain only the
schema's columns. A function receives whole columns but must compute each row on its own: do not count, sort or average
rows. If you change a formula, change the name as well, because models are matched with their features by name.
"""

from collections.abc import Mapping

from model.schema import SCHEMA
from modelkit.derived import Columns, Derivation, Values


def income_per_person(columns: Columns) -> Values:
    """Return the income per member of the family, dollars per year."""
    return columns["income"] / columns["family_size"]


def expenditure_limit_per_person(columns: Columns) -> Values:
    """Return the maximum expenditure per member of the family, dollars per year."""
    return columns["expenditure_limit"] / columns["family_size"]


DERIVED: Mapping[str, Derivation] = {
    "income_per_person": income_per_person,
    "expenditure_limit_per_person": expenditure_limit_per_person,
}
"""The derived features by name, in the order of the model's columns after those of the schema. May be empty."""

FEATURE_NAMES = (*SCHEMA.feature_names, *DERIVED)
"""The names of all features, in the order of the model's columns."""
