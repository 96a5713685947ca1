"""The classes of a schema, and its form as a JSON document.

Only the standard library is imported, because the server imports this module, too.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from modelkit.messages import listed

ColumnType = Literal["integer", "number", "string", "boolean"]
Role = Literal["feature", "target", "attribute", "ignored"]
Unknown = Literal["refuse", "missing", "other"]

OTHER = "other"
"""The category of new values, where a column has one."""

FEATURES = "features"
"""The member with the values of a row in requests as AWS's built-in algorithms take them."""

FLOAT32_MAXIMUM = 3.4028234663852886e38
"""The largest value of a feature: the model computes in float32, where larger values are infinite."""

INTEGER_LIMIT = 2.0**63
"""The limit of the absolute value of a whole number, exclusive."""

NUMBER_PATTERN = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""A number as text, in files and in requests: no blanks, no hexadecimal, no `nan`, no `inf`."""


@dataclass(frozen=True)
class Column:
    """One column of the data set.

    Attributes:
        name: The column's header.
        type: `integer` (a whole number), `number`, `string` (a feature needs its `categories`) or `boolean` (0, 1,
            true or false).
        role: `feature` goes into the model, `target` is predicted, `attribute` is neither (an identifier, say), and
            `ignored` is not even read.
        description: Its meaning, with its unit.
        nullable: Whether a value may be missing. An empty field is a missing value.
        max_null_fraction: The allowed share of missing values, in place of the general limit of the validation.
        minimum: The smallest allowed value in training data.
        maximum: The largest allowed value in training data.
        categories: The allowed values of a string; the model gets the position in this tuple.
        unknown: What a value is that is none of the categories, in data and requests: an error (`refuse`), a missing
            value (`missing`, of a nullable column), or the category `other`.
    """

    name: str
    type: ColumnType
    role: Role
    description: str
    nullable: bool = False
    max_null_fraction: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    unknown: Unknown = "refuse"

    def __post_init__(self) -> None:
        choices = ((self.type, ColumnType), (self.role, Role), (self.unknown, Unknown))
        for value, known in ((value, get_args(choice)) for value, choice in choices):
            if value not in known:
                raise ValueError(f"schema: column '{self.name}': '{value}' is not one of {', '.join(known)}")
        if self.role == "feature" and self.type == "string" and not self.categories:
            raise ValueError(f"schema: feature '{self.name}' is a string and needs its categories")
        if self.categories and self.type != "string":
            raise ValueError(f"schema: column '{self.name}' has categories, so its type must be string")
        if len(set(self.categories)) != len(self.categories) or "" in self.categories:
            raise ValueError(f"schema: the categories of '{self.name}' must be distinct and not empty")
        if self.unknown != "refuse" and not self.categories:
            raise ValueError(f"schema: column '{self.name}' has no categories, so no value is unknown")
        if self.unknown == "missing" and not self.nullable:
            raise ValueError(f"schema: unknown values of '{self.name}' are missing, so it must be nullable")
        if self.unknown == "other" and OTHER not in self.categories:
            raise ValueError(f"schema: unknown values of '{self.name}' are of the category '{OTHER}', which it lacks")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"schema: the minimum of '{self.name}' is above its maximum")

    @property
    def expected(self) -> str:
        """What a value has to be, for messages."""
        return f"one of {listed(self.categories)}" if self.categories else f"of type {self.type}"


@dataclass(frozen=True)
class Notation:
    """How CSV files write values, besides `true`, `false`, `1` and `0`, and an empty field for a missing value.

    Attributes:
        null_values: Texts that are missing values, such as `NA`, unless they are a category of the column.
        true_values: Texts that are true, such as `Yes`.
        false_values: Texts that are false, such as `No`.
        decimal_comma: Whether numbers have a comma in place of the point, and no point.
    """

    null_values: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    decimal_comma: bool = False

    def __post_init__(self) -> None:
        meant = [*self.null_values, *self.true_values, *self.false_values]
        twice = sorted({text for text in meant if meant.count(text) > 1})
        if twice:
            raise ValueError(f"schema: {listed(twice)} means two things in the notation")


PLAIN = Notation()
"""The notation of files that write nothing in another way."""


@dataclass(frozen=True)
class Facet:
    """A sensitive attribute whose groups are compared, and the limits of the bias in the data.

    Attributes:
        column: The attribute's name.
        disadvantaged: The value of the protected group.
        max_class_imbalance: Limit on the absolute class imbalance (CI).
        max_label_difference: Limit on the absolute difference in proportions of labels (DPL).
    """

    column: str
    disadvantaged: bool | int | str
    max_class_imbalance: float
    max_label_difference: float


@dataclass(frozen=True)
class Schema:
    """The columns, and the constraints of the table as a whole.

    Attributes:
        columns: The columns of the files; all must be there but ignored ones.
        group: The column whose rows with the same value stay in one split (train, validation or test); if rows are
            independent, a column that identifies the row.
        key: The columns that together identify a row.
        facet: The sensitive attribute; None if there is none.
        minimum_rows: The minimum number of rows.
        notation: How CSV files write values.
        extra_fields: Whether requests may have fields, by name, that are no features: `refuse` them or `ignore` them.
    """

    columns: tuple[Column, ...]
    group: str
    key: tuple[str, ...] = ()
    facet: Facet | None = None
    minimum_rows: int = 1
    notation: Notation = PLAIN
    extra_fields: str = "refuse"

    def __post_init__(self) -> None:
        if self.extra_fields not in ("refuse", "ignore"):
            raise ValueError(f"schema: extra_fields is '{self.extra_fields}'; use refuse or ignore")
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"schema: columns declared twice: {', '.join(repeated)}")
        if [column.type for column in self.columns if column.role == "target"] != ["boolean"]:
            raise ValueError("schema: exactly one column must have the role target, and its type must be boolean")
        if not self.features:
            raise ValueError("schema: no column has the role feature")
        named = {self.group, *self.key} | ({self.facet.column} if self.facet else set())
        if not named <= set(self.names):
            raise ValueError(f"schema: no such column: {', '.join(sorted(named - set(self.names)))}")
        group = self.column(self.group)
        if group.type not in ("integer", "string") or group.nullable:
            raise ValueError(f"schema: group '{self.group}' must be an integer or a string and not nullable")

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def read(self) -> tuple[Column, ...]:
        """The columns that are read: all but ignored ones, in order."""
        return tuple(column for column in self.columns if column.role != "ignored")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are read, in order."""
        return tuple(column.name for column in self.read)

    @cached_property
    def known(self) -> frozenset[str]:
        """The names of all columns."""
        return frozenset(column.name for column in self.columns)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The feature columns, in the model's order."""
        return tuple(column for column in self.columns if column.role == "feature")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in the model's order."""
        return tuple(column.name for column in self.features)

    @cached_property
    def target(self) -> str:
        """The name of the target column."""
        return next(column.name for column in self.columns if column.role == "target")

    @cached_property
    def encoding(self) -> str:
        """The encoding of values as numbers, as JSON, by which a model of another schema is recognised."""
        return json.dumps([[column.name, column.type, *column.categories] for column in self.features])

    def document(self) -> dict[str, Any]:
        """Return the schema as JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Schema":
        """Return the schema of a document that `document` returned; unknown top-level members are ignored.

        Raises:
            LookupError: A member is missing.
            TypeError: A member has the wrong type, or a column has a member unknown to this release.
            ValueError: The schema is inconsistent.
        """
        columns = (Column(**column | {"categories": tuple(column["categories"])}) for column in document["columns"])
        facet = document["facet"]
        return cls(
            columns=tuple(columns),
            group=document["group"],
            key=tuple(document["key"]),
            facet=None if facet is None else Facet(**facet),
            minimum_rows=document["minimum_rows"],
            notation=Notation(**{name: _as_given(value) for name, value in document.get("notation", {}).items()}),
            extra_fields=document.get("extra_fields", "refuse"),
        )


def _as_given(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
