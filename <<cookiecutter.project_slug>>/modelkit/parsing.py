"""Vectorised conversion of a column to its declared type, with a mask of the invalid values."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelkit.schema import FLOAT32_MAXIMUM, INTEGER_LIMIT, NUMBER_PATTERN, OTHER, PLAIN, Column, Notation

ARROW_TYPES = {"integer": pa.int64(), "number": pa.float64(), "string": pa.string(), "boolean": pa.bool_()}
"""The Arrow type of each column type."""


@dataclass(frozen=True)
class Parsed:
    """The values of a column, converted to its type.

    Attributes:
        values: Arrow array of n values; missing and invalid ones are null.
        invalid: Boolean Arrow array of n values, true where a value is not of the type; None if all are valid.
        unknown: Boolean Arrow array of n values, true where a value is none of the categories and in `values` what
            `Column.unknown` says; None if there is none.
    """

    values: Any
    invalid: Any | None
    unknown: Any | None = None


def parse(values: Any, column: Column, notation: Notation = PLAIN) -> Parsed:
    """Convert an Arrow column, text or typed, to the column's type.

    Args:
        values: Arrow array of n values; null and, in an array of floats, NaN are missing values.
        column: The column's declaration.
        notation: How text writes values.
    """
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if pa.types.is_large_string(values.type):
        values = pc.cast(values, pa.string())
    if pa.types.is_null(values.type):
        return Parsed(pc.cast(values, ARROW_TYPES[column.type]), None)
    if pa.types.is_string(values.type):
        return _from_text(_plain(values, column, notation), column)
    if pa.types.is_decimal(values.type):
        if column.type == "integer":
            return _integers(pc.cast(values, pa.string()))
        values = pc.cast(values, pa.float64())
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    return _from_typed(values, column)


def _plain(text: Any, column: Column, notation: Notation) -> Any:
    """Write text as if the files had no notation of their own."""
    nulls = [each for each in notation.null_values if each not in column.categories]
    if nulls:
        text = pc.if_else(pc.is_in(text, value_set=pa.array(nulls)), None, text)
    if column.type == "boolean":
        for values, plain in ((notation.true_values, "1"), (notation.false_values, "0")):
            if values:
                text = pc.if_else(pc.is_in(text, value_set=pa.array(values)), plain, text)
    if notation.decimal_comma and column.type in ("integer", "number"):
        # A point would separate thousands: 1.500 is not a number here.
        text = pc.replace_substring(pc.replace_substring(text, ".", "?"), ",", ".")
    return text


def _from_text(text: Any, column: Column) -> Parsed:
    if column.type == "string":
        return _of_categories(text, column)
    try:
        values = pc.cast(text, ARROW_TYPES[column.type])
    except pa.ArrowInvalid:
        return _from_odd_text(text, column)
    if column.type == "integer" and any(pc.any(pc.match_substring(text, x)).as_py() for x in "xX"):
        return _from_odd_text(text, column)  # Arrow accepts hexadecimal integers
    return _within_float32(values) if column.type == "number" else Parsed(values, None)


def outside_categories(values: Any, column: Column) -> Any | None:
    """Return a boolean Arrow array, true where one of n strings is none of the categories; None if there is none."""
    if not column.categories:
        return None
    outside = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=pa.array(column.categories))))
    return outside if pc.any(outside).as_py() else None


def _of_categories(text: Any, column: Column) -> Parsed:
    unknown = None if column.unknown == "refuse" else outside_categories(text, column)
    if unknown is None:
        return Parsed(text, None)
    return Parsed(pc.if_else(unknown, OTHER if column.unknown == "other" else None, text), None, unknown)


def _from_odd_text(text: Any, column: Column) -> Parsed:
    """Parse a column with invalid values or unusual notations, such as 3.0 for 3."""
    if column.type == "boolean":
        lower = pc.utf8_lower(text)
        text = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", text))
    if column.type == "integer":
        return _integers(text)
    is_number = pc.match_substring_regex(text, f"^(?:{NUMBER_PATTERN})$")
    numbers = _from_typed(pc.cast(pc.if_else(is_number, text, None), pa.float64()), column)
    not_number = pc.fill_null(pc.invert(is_number), False)
    invalid = not_number if numbers.invalid is None else pc.or_(not_number, numbers.invalid)
    return Parsed(numbers.values, invalid if pc.any(invalid).as_py() else None)


def _integers(text: Any) -> Parsed:
    """Parse whole numbers, also 7.0 and 1e3, exactly: a float would have only 53 bits for them."""
    plain = pc.replace_substring_regex(text, r"^([+-]?)0*([0-9]+)(\.0*)?$", r"\1\2")
    is_plain = pc.match_substring_regex(plain, r"^[+-]?[0-9]{1,18}$")
    if not pc.all(is_plain).as_py():
        is_plain = pc.or_(is_plain, _has_nineteen_digits_within_the_limit(plain))
    exact = pc.cast(pc.if_else(is_plain, pc.utf8_ltrim(plain, "+"), None), pa.int64())
    is_other = pc.and_(
        pc.invert(pc.match_substring_regex(plain, r"^[+-]?[0-9]+$")),
        pc.match_substring_regex(text, f"^(?:{NUMBER_PATTERN})$"),
    )
    others = _from_typed(pc.cast(pc.if_else(is_other, text, None), pa.float64()), _INTEGER)
    values = pc.coalesce(exact, others.values)
    invalid = pc.and_(pc.is_valid(text), pc.is_null(values))
    return Parsed(values, invalid if pc.any(invalid).as_py() else None)


def _has_nineteen_digits_within_the_limit(text: Any) -> Any:
    """Whether texts are whole numbers of 19 digits whose absolute value is below 2**63, which compares as text."""
    is_long = pc.match_substring_regex(text, r"^[+-]?[0-9]{19}$")
    digits = pc.utf8_ltrim(text, "+-")
    return pc.and_(is_long, pc.less(digits, str(int(INTEGER_LIMIT))))


_INTEGER = Column("", "integer", "attribute", "")


def _from_typed(values: Any, column: Column) -> Parsed:
    kind = values.type
    if column.type == "boolean" and not pa.types.is_boolean(kind) and _is_numeric(kind):
        return _masked(values, pc.or_(pc.equal(values, 0), pc.equal(values, 1)), pa.bool_())
    if column.type == "integer" and pa.types.is_integer(kind):
        if kind == pa.uint64():
            return _masked(values, pc.less_equal(values, pa.scalar(int(INTEGER_LIMIT) - 1, kind)), pa.int64())
        return Parsed(pc.cast(values, pa.int64()), None)
    if column.type == "integer" and pa.types.is_floating(kind):
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), INTEGER_LIMIT))
        return _masked(values, whole, pa.int64())
    if column.type == "number" and _is_numeric(kind):
        return _within_float32(pc.cast(values, pa.float64()))
    if ARROW_TYPES[column.type] == kind:
        return Parsed(values, None)
    return Parsed(pa.nulls(len(values), ARROW_TYPES[column.type]), pc.is_valid(values))


def _is_numeric(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _within_float32(values: Any) -> Parsed:
    return _masked(values, pc.less_equal(pc.abs(values), FLOAT32_MAXIMUM), pa.float64())


def _masked(values: Any, valid: Any, kind: Any) -> Parsed:
    if pc.all(valid).as_py() is not False:
        return Parsed(pc.cast(values, kind), None)
    return Parsed(pc.cast(pc.if_else(valid, values, None), kind), pc.fill_null(pc.invert(valid), False))
