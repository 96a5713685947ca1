"""The data the model is made from: its columns, the rules they follow and the parts they play.

Every step reads `SCHEMA`: validation enforces it, preprocessing types and splits by it, training and inference take
the features in the order in which they stand here. Only the standard library is imported, since the server does too.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

ColumnType = Literal["integer", "number", "string", "boolean"]
Role = Literal["feature", "target", "attribute"]

FLOAT32_MAXIMUM = 3.4028234663852886e38
"""The largest value a feature can have: the model computes in float32, where more would be infinite."""

INTEGER_LIMIT = 2.0**63
"""A whole number must be smaller than this, in absolute value."""

NUMBER_PATTERN = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""A number as text, in files and in requests: no blanks, no hexadecimal, no `nan`, no `inf`."""


@dataclass(frozen=True)
class Column:
    """One column of the data set.

    Attributes:
        name: The column's header.
        type: `integer` (a whole number), `number`, `string` (a feature needs its `categories`) or `boolean` (0, 1,
            true or false).
        role: `feature` goes into the model, `target` is predicted, `attribute` is neither (an identifier, say).
        description: What it holds, with its unit.
        nullable: Whether a value may be missing. An empty field is a missing value.
        max_null_fraction: The share of missing values allowed here, in place of the limit given to the validation.
        minimum: The smallest value allowed in training data.
        maximum: The largest value allowed in training data.
        categories: The values a string may have; the model sees the position in this tuple.
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

    def __post_init__(self) -> None:
        for said, known in ((self.type, get_args(ColumnType)), (self.role, get_args(Role))):
            if said not in known:
                raise ValueError(f"schema: column '{self.name}': '{said}' is none of {', '.join(known)}")
        if self.role == "feature" and self.type == "string" and not self.categories:
            raise ValueError(f"schema: feature '{self.name}' is a string and needs its categories")
        if self.categories and self.type != "string":
            raise ValueError(f"schema: column '{self.name}' has categories, so its type must be string")
        if len(set(self.categories)) != len(self.categories) or "" in self.categories:
            raise ValueError(f"schema: the categories of '{self.name}' must be distinct and not empty")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"schema: the minimum of '{self.name}' is above its maximum")


@dataclass(frozen=True)
class Facet:
    """The sensitive attribute whose groups are compared, and the bias in the data that is still accepted.

    Attributes:
        column: The attribute's name.
        disadvantaged: The value that marks the group to protect.
        max_class_imbalance: Limit on the absolute class imbalance (CI).
        max_label_difference: Limit on the absolute difference in proportions of labels (DPL).
    """

    column: str
    disadvantaged: bool | int | str
    max_class_imbalance: float
    max_label_difference: float


@dataclass(frozen=True)
class Schema:
    """The columns and what holds for the table as a whole.

    Attributes:
        columns: All columns a file must have.
        group: The column whose rows must not be torn apart by the split into train, validation and test; where every
            row stands for itself, the column that identifies the row.
        key: The columns that together identify a row.
        facet: The sensitive attribute, or None when there is none.
        minimum_rows: Fewer rows than this are refused.
    """

    columns: tuple[Column, ...]
    group: str
    key: tuple[str, ...] = ()
    facet: Facet | None = None
    minimum_rows: int = 1

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"schema: columns declared twice: {', '.join(repeated)}")
        if [column.type for column in self.columns if column.role == "target"] != ["boolean"]:
            raise ValueError("schema: exactly one column must have the role target, and its type must be boolean")
        if not self.features:
            raise ValueError("schema: no column has the role feature")
        named = {self.group, *self.key} | ({self.facet.column} if self.facet else set())
        if not named <= set(names):
            raise ValueError(f"schema: no such column: {', '.join(sorted(named - set(names)))}")
        group = self.column(self.group)
        if group.type not in ("integer", "string") or group.nullable:
            raise ValueError(f"schema: group '{self.group}' must be an integer or a string and not nullable")

    def column(self, name: str) -> Column:
        """Return the column of that name."""
        return next(column for column in self.columns if column.name == name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns the model sees, in the order in which it sees them."""
        return tuple(column for column in self.columns if column.role == "feature")

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in the model's order."""
        return tuple(column.name for column in self.features)

    @cached_property
    def target(self) -> str:
        """The name of the column that is predicted."""
        return next(column.name for column in self.columns if column.role == "target")

    @cached_property
    def encoding(self) -> str:
        """How values become numbers, as JSON: kept in a model file to recognise a model made under another schema."""
        return json.dumps([[column.name, column.type, *column.categories] for column in self.features])


SCHEMA = Schema(
    columns=(
        Column("person", "integer", "attribute", "identifier of the person", minimum=1),
        Column("year", "integer", "feature", "year of the experiment", minimum=1, maximum=5),
        Column(
            "site",
            "string",
            "feature",
            "place of the experiment, as numbered by its authors",
            categories=("site-1", "site-2", "site-3", "site-4", "site-5", "site-6"),
        ),
        Column("coinsurance", "number", "feature", "share of a bill the person pays, percent", minimum=0, maximum=100),
        Column("deductible_plan", "boolean", "feature", "the plan has an individual deductible"),
        Column(
            "expenditure_limit",
            "number",
            "feature",
            "most the family can be asked to pay in a year, dollars",
            nullable=True,
            minimum=0,
            maximum=2_000,
        ),
        Column(
            "participation_incentive",
            "number",
            "feature",
            "payment for taking part, dollars per year",
            nullable=True,
            minimum=0,
            maximum=5_000,
        ),
        Column(
            "income",
            "number",
            "feature",
            "annual income, dollars of the time",
            nullable=True,
            minimum=0,
            maximum=100_000,
        ),
        Column("family_size", "integer", "feature", "persons in the family", minimum=1, maximum=20),
        Column(
            "education",
            "number",
            "feature",
            "schooling of the family's decision maker, years",
            nullable=True,
            minimum=0,
            maximum=30,
        ),
        Column("age", "number", "feature", "age in that year, years", nullable=True, minimum=0, maximum=110),
        Column("female", "boolean", "feature", "the person is female"),
        Column("examined", "boolean", "feature", "had the physical examination before the experiment"),
        Column(
            "mental_health",
            "number",
            "feature",
            "mental health index, higher is better",
            minimum=0,
            maximum=100,
        ),
        Column("chronic_diseases", "number", "feature", "index of chronic diseases", minimum=0, maximum=100),
        Column(
            "physical_limitation",
            "number",
            "feature",
            "1 with a physical limitation, 0 without, between when estimated",
            minimum=0,
            maximum=1,
        ),
        Column(
            "general_health",
            "number",
            "feature",
            "general health index, higher is better",
            nullable=True,
            max_null_fraction=0.4,
            minimum=0,
            maximum=100,
        ),
        Column(
            "health",
            "string",
            "feature",
            "health, self-rated",
            categories=("poor", "fair", "good", "excellent"),
        ),
        Column("visited", "boolean", "target", "saw a doctor at least once in that year"),
    ),
    group="person",
    key=("person", "year"),
    facet=Facet("female", disadvantaged=True, max_class_imbalance=0.5, max_label_difference=0.2),
    minimum_rows=100,
)
