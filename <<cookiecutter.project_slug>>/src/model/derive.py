"""Features computed from other features: the one place to add your own.

Training, evaluation and inference all complete their rows here, so that a model sees the same numbers in each; a
request carries the schema's columns only. A function takes whole columns and computes each row by itself: a row must
get the same values alone as among others, so nothing here may count, sort or average rows. Give a function whose
formula changes another name: by the names a model made with other features is recognised.
"""

from collections.abc import Mapping

from model.schema import SCHEMA
from modelkit.derived import Columns, Derivation, Values


def income_per_person(columns: Columns) -> Values:
    """Return the income for each member of the family, dollars a year."""
    return columns["income"] / columns["family_size"]


def expenditure_limit_per_person(columns: Columns) -> Values:
    """Return the most there is to pay for each member of the family, dollars a year."""
    return columns["expenditure_limit"] / columns["family_size"]


DERIVED: Mapping[str, Derivation] = {
    "income_per_person": income_per_person,
    "expenditure_limit_per_person": expenditure_limit_per_person,
}
"""The derived features by name, in the order in which they follow the schema's; empty when there are none."""

FEATURE_NAMES = (*SCHEMA.feature_names, *DERIVED)
"""The names of all features, in the model's order."""
