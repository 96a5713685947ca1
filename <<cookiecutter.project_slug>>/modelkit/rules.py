"""The rules of data validation: for each file and column, and for the table as a whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelkit.bias import DataBias
from modelkit.contents import notation_message, notation_of
from modelkit.dataset import Source
from modelkit.messages import listed
from modelkit.parsing import outside_categories, parse
from modelkit.schema import Column, Facet, Notation, Schema

UNKNOWN = "unknown"
"""The rule of values that are none of the categories, in a column that allows them: no violation."""

EXAMPLES = 3
"""The maximum number of examples in a message."""

_TEXTS = 1000


@dataclass(frozen=True)
class Violation:
    """A violation of a rule.

    Attributes:
        column: The column; None if the rule is about a file or the table.
        rule: The rule's name.
        rows: The number of rows in violation; 0 if the rule is not about rows.
        message: The problem, with a few examples and their rows.
    """

    column: str | None
    rule: str
    rows: int
    message: str


@dataclass(frozen=True)
class Finding:
    """A violation in one file; the findings of all files are merged into one violation.

    So are those of all columns whose values the same notation would explain.
    """

    column: str | None
    rule: str
    problem: str
    rows: int
    examples: tuple[str, ...]
    notation: str = ""


def merged(findings: Iterable[Finding]) -> list[Violation]:
    """Merge the findings of all files about the same rule and column into one violation."""
    groups: dict[tuple[str | None, str, str], list[Finding]] = {}
    for finding in findings:
        about = (None, finding.notation) if finding.notation else (finding.column, finding.problem)
        groups.setdefault((about[0], finding.rule, about[1]), []).append(finding)
    violations = []
    for (column, rule, problem), members in groups.items():
        rows = sum(member.rows for member in members)
        examples = [example for member in members for example in member.examples][:EXAMPLES]
        what = f"column '{column}': {problem} in {_rows(rows)}" if column else f"{problem} in {_rows(rows)}"
        if members[0].notation:
            columns = list(dict.fromkeys(str(member.column) for member in members))
            column, what = columns[0] if len(columns) == 1 else None, notation_message(columns, problem)
        violations.append(Violation(column, rule, rows, f"{what}, for example {'; '.join(examples)}"))
    return violations


def header_violations(sources: Sequence[Source], schema: Schema) -> list[Violation]:
    """Return the missing, duplicate and unexpected columns of the files."""
    missing: dict[str, list[str]] = {}
    repeated: dict[str, list[str]] = {}
    unexpected: dict[str, list[str]] = {}
    for source in sources:
        names = source.table.column_names
        for name in schema.names:
            if name not in names:
                missing.setdefault(name, []).append(source.name)
        for name in dict.fromkeys(names):
            if names.count(name) > 1 and name in schema.names:
                repeated.setdefault(name, []).append(source.name)
            if name not in schema.known:
                unexpected.setdefault(name, []).append(source.name)
    return [
        *_of_headers("missing_column", missing, "missing from {files}"),
        *_of_headers("duplicate_column", repeated, "duplicated in the header of {files}"),
        *_of_headers("unexpected_column", unexpected, "of {files}, not in the schema"),
    ]


def _of_headers(rule: str, found: dict[str, list[str]], what: str) -> Iterator[Violation]:
    """Yield one violation for all columns of the same files."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for name, files in found.items():
        columns.setdefault(tuple(files), []).append(name)
    for place_of, names in columns.items():
        place = what.format(files=_some(list(place_of)))
        one = names[0] if len(names) == 1 else None
        subject = f"column '{one}'" if one is not None else f"{len(names)} columns ({listed(names)})"
        yield Violation(one, rule, 0, f"{subject} {place}")


def ragged_findings(source: Source) -> Iterator[Finding]:
    """Yield the rows that do not have one field per column."""
    if source.ragged:
        examples = tuple(
            f"row {row.number} of {source.name} has {row.fields} instead of {row.expected}"
            for row in source.ragged[:EXAMPLES]
        )
        yield Finding(None, "ragged_row", "too few or too many fields", len(source.ragged), examples)


def check_values(source: Source, column: Column, notation: Notation) -> tuple[Any, list[Finding]]:
    """Check the type, range and category of each value of one column of one file.

    Returns:
        The Arrow array of typed values, null where a value is missing or not of the type; and the findings, also of the
        rule `UNKNOWN`.
    """
    raw = source.table[column.name]
    parsed = parse(raw, column, notation)
    findings = []

    def find(rule: str, problem: str, mask: Any, notation: str = "") -> None:
        if mask is not None and pc.any(mask).as_py():
            examples = tuple(_examples(source, raw, mask))
            findings.append(Finding(column.name, rule, problem, pc.sum(mask).as_py(), examples, notation))

    find("type", f"not {_article(column.type)}", parsed.invalid, _notation(raw, parsed.invalid, column))
    if column.minimum is not None:
        find("minimum", f"below the minimum {column.minimum:g}", pc.less(parsed.values, column.minimum))
    if column.maximum is not None:
        find("maximum", f"above the maximum {column.maximum:g}", pc.greater(parsed.values, column.maximum))
    if column.unknown == "refuse":
        find("category", f"not {column.expected}", outside_categories(parsed.values, column))
    else:
        find(UNKNOWN, f"not {column.expected}, taken as {column.unknown},", parsed.unknown)
    return parsed.values, findings


def null_violations(column: Column, values: Any, unreadable: int, limit: float) -> list[Violation]:
    """Check the number of missing values of a column.

    Args:
        column: The column's declaration.
        values: Arrow array of its n typed values in all files.
        unreadable: The number of nulls that are values of a wrong type, which are reported separately.
        limit: The largest allowed share of missing values, unless the column declares its own.
    """
    rows, nulls = len(values), values.null_count - unreadable
    if column.max_null_fraction is not None:
        limit = column.max_null_fraction
    subject = f"column '{column.name}': "
    if rows == 0 or nulls == 0:
        return []
    if nulls == rows:
        return [Violation(column.name, "all_null", nulls, f"{subject}no value in any of {_rows(nulls)}")]
    if not column.nullable:
        return [Violation(column.name, "null", nulls, f"{subject}no value in {_rows(nulls)}, and it is not nullable")]
    if nulls > limit * rows:
        message = f"{subject}no value in {_rows(nulls)}, {nulls / rows:.1%} where {limit:.1%} is allowed"
        return [Violation(column.name, "null_fraction", nulls, message)]
    return []


def table_violations(table: Any, schema: Schema) -> list[Violation]:
    """Check the table of all files: the number of rows, the classes of the target, duplicate keys.

    Args:
        table: Arrow table of typed columns, without those that no file has.
        schema: The schema.
    """
    if table.num_rows == 0:
        return [Violation(None, "no_rows", 0, "there are no rows below the header")]
    violations = []
    if table.num_rows < schema.minimum_rows:
        message = f"there are {table.num_rows} rows; at least {schema.minimum_rows} are required"
        violations.append(Violation(None, "minimum_rows", table.num_rows, message))
    if schema.target in table.column_names:
        violations += _class_violations(table[schema.target], schema.target)
    if schema.key and set(schema.key) <= set(table.column_names):
        violations += _key_violations(table, schema.key)
    return violations


def bias_violations(bias: DataBias, facet: Facet) -> list[Violation]:
    """Compare the bias in the data with the limits of the facet."""
    group = f"column '{facet.column}', group {facet.disadvantaged}:"
    violations = []
    if abs(bias.class_imbalance) > facet.max_class_imbalance:
        message = (
            f"{group} class imbalance (CI) is {bias.class_imbalance:.3f}; the limit is {facet.max_class_imbalance:g}"
        )
        violations.append(Violation(facet.column, "class_imbalance", bias.rows, message))
    if bias.label_difference is not None and abs(bias.label_difference) > facet.max_label_difference:
        value, limit = bias.label_difference, facet.max_label_difference
        message = f"{group} difference in proportions of labels (DPL) is {value:.3f}; the limit is {limit:g}"
        violations.append(Violation(facet.column, "label_difference", bias.rows, message))
    return violations


def _class_violations(target: Any, name: str) -> list[Violation]:
    classes = pc.unique(pc.drop_null(target)).to_pylist()
    if len(classes) != 1:
        return []
    message = f"column '{name}': every row has the value {int(classes[0])}; a classifier needs both classes"
    return [Violation(name, "one_class", len(target), message)]


def _key_violations(table: Any, key: tuple[str, ...]) -> list[Violation]:
    counts = table.select(key).group_by(list(key)).aggregate([([], "count_all")])
    for name in key:
        counts = counts.filter(pc.is_valid(counts[name]))
    repeated = counts.filter(pc.greater(counts["count_all"], 1))
    if repeated.num_rows == 0:
        return []
    rows = pc.sum(repeated["count_all"]).as_py() - repeated.num_rows
    examples = [" and ".join(f"{name} {row[name]}" for name in key) for row in repeated.slice(0, EXAMPLES).to_pylist()]
    names = ", ".join(key)
    message = f"key ({names}): duplicates in {_rows(rows)}, for example {'; '.join(examples)}"
    return [Violation(None, "duplicate_key", rows, message)]


def _notation(raw: Any, invalid: Any, column: Column) -> str:
    """Return the notation that would explain the invalid values of a column; empty if none does."""
    if invalid is None or not pa.types.is_string(raw.type):
        return ""
    return notation_of(pc.unique(raw.filter(invalid)).slice(0, _TEXTS).to_pylist(), column.type)


def _examples(source: Source, raw: Any, mask: Any) -> Iterator[str]:
    for index in pc.indices_nonzero(mask)[:EXAMPLES].to_pylist():
        yield f"{raw[index].as_py()!r:.60} (row {source.row_number(index)} of {source.name})"


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:EXAMPLES])
    return shown if len(names) <= EXAMPLES else f"{shown} and {len(names) - EXAMPLES} more files"


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
