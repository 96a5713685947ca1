"""Predictions for tables of raw rows, by the code and the model in the archive of a registered version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops.base.errors import MlopsError, UsageError
from mlops.base.handlers import Handlers
from mlops.batch.reading import InputFile
from modelkit.messages import bounded, listed

CSV = "text/csv"


@dataclass(frozen=True)
class Scorer:
    """A loaded version.

    Attributes:
        handlers: Its handlers.
        schema: The schema that it was made under.
        derived: Its derived features.
        parsing: Its module that turns columns into the schema's types.
        features: Its module that makes the model's numbers of them.
    """

    handlers: Handlers
    schema: Any
    derived: Mapping[str, Any]
    parsing: ModuleType
    features: ModuleType

    @classmethod
    def of(cls, handlers: Handlers) -> "Scorer":
        """Return a scorer for loaded handlers.

        Raises:
            MlopsError: The archive does not hold what typed columns are made with.
        """
        kit = "modelkit" if (handlers.code / "modelkit").is_dir() else "model"  # release 0.4.0 had no modelkit
        try:
            # Those of the archive: its code is on the path since its handlers were loaded.
            parsing, features = import_module(f"{kit}.parsing"), import_module(f"{kit}.features")
            schema, derived = import_module("model.schema").SCHEMA, import_module("model.derive").DERIVED
        except (ImportError, AttributeError) as error:
            raise MlopsError(f"The version's archive lacks what files are read with: {error}.") from None
        return cls(handlers, schema, derived, parsing, features)

    def check(self, file: InputFile) -> list[str]:
        """Return the columns of a file that the schema does not know.

        Raises:
            MlopsError: It lacks a feature, or has one twice.
        """
        wrong = [name for name in self.schema.feature_names if file.columns.count(name) != 1]
        if wrong:
            raise UsageError(
                f"{file.path} must have these columns once: {listed(wrong)}.",
                f"The model needs all {len(self.schema.feature_names)} features of its schema.",
            )
        known = {column.name for column in self.schema.columns}
        return [name for name in file.columns if name not in known]

    def score(self, rows: Any, file: InputFile, before: int) -> "Scored":
        """Return the predictions for a piece of a file.

        Args:
            rows: The piece.
            file: The file, for messages.
            before: How many rows of the file come before it.

        Raises:
            MlopsError: A value is missing or not one that its column can have, or the version's code refuses the rows.
        """
        typed = self.typed(rows, file, before)
        asked = rows.select(self.schema.feature_names) if self._is_request(rows) else typed
        return Scored(self, rows, asked, self.predict(typed))

    def _is_request(self, rows: Any) -> bool:
        """Return whether rows are text that means in a request what it means in their file."""
        notation = getattr(self.schema, "notation", None)  # archives of 0.4.0 have none
        plain = notation is None or notation == type(notation)()
        return plain and all(map(pa.types.is_string, rows.schema.types))

    def typed(self, table: Any, file: InputFile, before: int) -> Any:
        """Return the features of a piece of a file as an Arrow table in the schema's types.

        Args:
            table: The piece.
            file: The file, for messages.
            before: How many rows of the file come before it.

        Raises:
            MlopsError: A value is missing or not one that its column can have; the message says which.
        """
        own = [self.schema.notation] if hasattr(self.schema, "notation") else []  # see `_is_request`
        columns = [self.parsing.parse(table[column.name], column, *own) for column in self.schema.features]
        first: tuple[int, Any] | None = None
        for column, parsed in zip(self.schema.features, columns, strict=True):
            row = _first(_wrong(parsed, column))
            if row is not None and (first is None or row < first[0]):
                first = row, column
        if first:
            row, column = first
            place = f"{file.path}: row {before + row + 1}, column '{column.name:.60}'"
            raise UsageError(bounded(f"{place}: {_complaint(table[column.name][row].as_py(), column)}."))
        return pa.table([parsed.values for parsed in columns], names=self.schema.feature_names)

    def predict(self, table: Any) -> Any:
        """Return the prediction for each of n typed rows, an array of n values.

        Raises:
            MlopsError: The version's code refuses them.
        """
        if not table.num_rows:
            return np.empty(0, dtype=np.float32)
        try:
            return self.handlers.predict_fn(self.features.matrix(table, self.schema, self.derived), self.handlers.model)
        except ValueError as error:
            raise MlopsError(bounded(f"The model cannot predict these rows: {error}.")) from None


@dataclass(frozen=True)
class Scored:
    """n rows of a file and their predictions.

    Attributes:
        scorer: The version that predicted them.
        rows: Arrow table of the rows as they came.
        asked: Arrow table of their features as a request has them: text as it came, or typed values.
        predictions: The predictions: n values.
    """

    scorer: Scorer
    rows: Any
    asked: Any
    predictions: Any

    @cached_property
    def answer(self) -> bytes:
        """The predictions as the version answers a request for CSV: one to a line."""
        if not len(self.predictions):
            return b""
        answer = self.scorer.handlers.output_fn(self.predictions, CSV)
        return answer if isinstance(answer, bytes) else str(answer).encode()

    def take(self, positions: Any) -> "Scored":
        """Return some of the rows."""
        return Scored(self.scorer, self.rows.take(positions), self.asked.take(positions), self.predictions[positions])


def _wrong(parsed: Any, column: Any) -> list[Any]:
    """Masks of the rows whose value the column cannot have."""
    masks = [] if parsed.invalid is None else [parsed.invalid]
    if column.categories:
        known = pc.is_in(parsed.values, value_set=pa.array(column.categories))
        masks.append(pc.and_(pc.invert(known), pc.is_valid(parsed.values)))
    if not column.nullable and parsed.values.null_count:
        masks.append(pc.is_null(parsed.values))
    return masks


def _first(masks: Sequence[Any]) -> int | None:
    """Return the first row that is true in any of the masks."""
    rows = [pc.index(mask, True).as_py() for mask in masks]
    return min((row for row in rows if row >= 0), default=None)


def _complaint(value: Any, column: Any) -> str:
    if value is None or value != value:  # NaN
        return "the value is missing, and the column is not nullable"
    return f"{value!r:.60} is not {column.expected}"
