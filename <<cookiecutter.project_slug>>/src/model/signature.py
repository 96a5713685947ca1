"""The features a model was made with: kept with it, and compared with this code's when it is loaded."""

from collections.abc import Sequence

from model.derive import FEATURE_NAMES
from model.schema import SCHEMA


class OtherSchemaError(ValueError):
    """A model that was made under another schema, or with other derived features, than this code's."""


def require_same(names: Sequence[str], encoding: str | None) -> None:
    """Accept a model only if it sees in each column what this code puts there.

    Args:
        names: The names of its features, in its order.
        encoding: The `encoding` of the schema it was made under.

    Raises:
        OtherSchemaError: It was made under another schema, or with other derived features.
    """
    if tuple(names) != FEATURE_NAMES:
        raise OtherSchemaError(f"it was trained on other features: {_difference(names)}")
    if encoding != SCHEMA.encoding:
        raise OtherSchemaError("it was trained with other types or categories than the schema's")


def _difference(names: Sequence[str]) -> str:
    """Say how a model's features differ from those of this code."""
    lacking = [name for name in FEATURE_NAMES if name not in names]
    unknown = [name for name in names if name not in FEATURE_NAMES]
    parts = [f"{what} {_few(some)}" for what, some in (("without", lacking), ("with", unknown)) if some]
    return " and ".join(parts) or "in another order"


def _few(names: list[str]) -> str:
    """List some of the names: a job's failure message has little room."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
