"""The features that a model was trained with, stored in its archive as `schema.json` and checked against the code."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from modelkit import documents
from modelkit.schema import Schema

SCHEMA_FILE = "schema.json"
"""The schema of a model as data, and under `derived` the names of its derived features, in the model's folder."""


class OtherSchemaError(ValueError):
    """A model that was trained with another schema, or with other derived features, than this code's."""


def write(folder: Path, schema: Schema, derived: Iterable[str]) -> None:
    """Write the schema and the names of the derived features to a model's folder."""
    document = {**schema.document(), "derived": list(derived)}
    (folder / SCHEMA_FILE).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[Schema, tuple[str, ...]]:
    """Read the schema and the names of the derived features from a file that `write` has written.

    Raises:
        ValueError: The file is missing or damaged.
    """
    try:
        document = documents.read(path)
        return Schema.from_document(document), tuple(document["derived"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"the model's schema cannot be read from {path}: {error!r:.200}") from error


def require_same(folder: Path, schema: Schema, derived: Iterable[str]) -> None:
    """Reject a model whose features or encodings differ from those of this code.

    Args:
        folder: The model's folder.
        schema: The schema of this code.
        derived: The names of its derived features.

    Raises:
        OtherSchemaError: The model was trained with another schema, or with other derived features.
        ValueError: The folder has no readable schema.
    """
    trained_with, derived_then = read(folder / SCHEMA_FILE)
    found, expected = (*trained_with.feature_names, *derived_then), (*schema.feature_names, *derived)
    if found != expected:
        raise OtherSchemaError(f"it was trained on other features: {_difference(found, expected)}")
    if trained_with.encoding != schema.encoding:
        raise OtherSchemaError("it was trained with other types or categories than the schema's")


def _difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """Return how a model's features differ from those of this code."""
    lacking = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    parts = [f"{what} {_few(some)}" for what, some in (("without", lacking), ("with", unknown)) if some]
    return " and ".join(parts) or "in another order"


def _few(names: list[str]) -> str:
    """Return a list of the first names, because the length of a job's failure message is limited."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
