"""Check a data set against the schema, report all violations, and stop the pipeline if there are any."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from modelkit import bias, features, owner, rules
from modelkit.dataset import FileError, Source, find_files, read_source
from modelkit.job import JobError, JobParser, run, write_json
from modelkit.messages import LISTED, listed
from modelkit.parsing import ARROW_TYPES
from modelkit.rules import Finding, Violation
from modelkit.schema import Column, Notation, Schema

REPORT_FILE = "report.json"
_MOST_BYTES = 1900


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes:
        files: Name and number of rows of each readable file.
        left_out: The names of the files that are not data.
        rows: The total number of rows.
        columns: A summary of each column that was found.
        unknown: The values that are none of the categories of columns that allow them.
        violations: All violations.
        bias: The bias between the groups of the facet; None without a facet or its data.
    """

    files: list[dict[str, Any]]
    left_out: list[str]
    rows: int
    columns: list[dict[str, Any]]
    unknown: list[Violation]
    violations: list[Violation]
    bias: bias.DataBias | None


def validate(path: Path, schema: Schema, max_null_fraction: float) -> Validation:
    """Check all files of a folder, even if one is invalid.

    Args:
        path: The folder, or a single file.
        schema: The schema.
        max_null_fraction: The largest share of missing values in a nullable column that declares no limit.
    """
    sources, violations, left_out = _read(path)
    violations += rules.header_violations(sources, schema)
    findings: list[Finding] = [finding for source in sources for finding in rules.ragged_findings(source)]
    null_violations: list[Violation] = []
    typed: dict[str, Any] = {}
    for column in schema.read:
        values, found = _check_column(sources, column, schema.notation)
        if values is None:
            continue
        findings += found
        unreadable = sum(finding.rows for finding in found if finding.rule == "type")
        null_violations += rules.null_violations(column, values, unreadable, max_null_fraction)
        typed[column.name] = values
    unknown = [finding for finding in findings if finding.rule == rules.UNKNOWN]
    violations += rules.merged(finding for finding in findings if finding.rule != rules.UNKNOWN) + null_violations
    table = pa.table(typed)
    if sources and (typed or not violations):
        violations += rules.table_violations(table, schema)
    measured = _bias(table, schema)
    if measured is not None and schema.facet is not None:
        violations += rules.bias_violations(measured, schema.facet)
    files = [{"name": source.name, "rows": source.table.num_rows + len(source.ragged)} for source in sources]
    columns = [_summary(column, typed[column.name]) for column in schema.read if column.name in typed]
    rows = sum(file["rows"] for file in files)
    return Validation(files, left_out, rows, columns, rules.merged(unknown), violations, measured)


def report(validation: Validation, data_version: str, schema: Schema) -> dict[str, Any]:
    """Return the report as a JSON document."""
    found: dict[str, Any] = {}
    if validation.bias is not None and schema.facet is not None:
        found = {
            "facet": schema.facet.column,
            "disadvantaged": schema.facet.disadvantaged,
            "rows": validation.bias.rows,
            "class_imbalance": {
                "value": validation.bias.class_imbalance,
                "limit": schema.facet.max_class_imbalance,
            },
            "label_difference": {
                "value": validation.bias.label_difference,
                "limit": schema.facet.max_label_difference,
            },
        }
    return {
        "data_version": data_version,
        "rows": validation.rows,
        "files": validation.files,
        "left_out": validation.left_out,
        "columns": validation.columns,
        "unknown": [asdict(values) for values in validation.unknown],
        "violations": [asdict(violation) for violation in validation.violations],
        "bias": found,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step; return exit code 1 if the data violates a rule."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.validate", __doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of data files, or one file")
    parser.add_argument("--report", type=Path, required=True, metavar="DIR", help=f"folder for {REPORT_FILE}")
    parser.add_argument("--data-version", required=True, metavar="V", help="the data's version, kept in the report")
    parser.add_argument(
        "--max-null-fraction",
        type=float,
        default=0.1,
        metavar="F",
        help="largest share of missing values in a nullable column that declares no limit (default %(default)s)",
    )
    return parser


def _work(arguments: argparse.Namespace) -> None:
    if not 0 <= arguments.max_null_fraction <= 1:
        raise JobError(f"--max-null-fraction must be between 0 and 1, not {arguments.max_null_fraction:g}")
    schema: Schema = owner.load("schema", "SCHEMA")
    features.check_derived(schema, owner.load("derive", "DERIVED"))  # fail before the data is split
    validation = validate(arguments.data, schema, arguments.max_null_fraction)
    destination = arguments.report / REPORT_FILE
    write_json(destination, report(validation, arguments.data_version, schema))
    if validation.violations:
        raise JobError(_refusal(validation.violations))
    print(f"the data conforms to the schema: {validation.rows} rows, files: {len(validation.files)}")
    for values in validation.unknown:
        print(values.message)
    if validation.left_out:
        print(f"not read, with . or _ at the start of a name: {listed(validation.left_out)}")


def _refusal(violations: list[Violation]) -> str:
    """Return the violations as text of at most 2 KB."""
    count = len(violations)
    lines = [f"the data violates {count} rule{'s' if count > 1 else ''}; correct the data or edit model/schema.py:"]
    size = len(lines[0].encode())
    for number, violation in enumerate(violations):
        line = f"- {violation.message:.600}"
        size += len(line.encode()) + 1
        if number == LISTED or size > _MOST_BYTES:
            lines.append(f"- and {count - number} more; {REPORT_FILE} lists all")
            break
        lines.append(line)
    return "\n".join(lines)


def _read(path: Path) -> tuple[list[Source], list[Violation], list[str]]:
    sources: list[Source] = []
    violations: list[Violation] = []
    try:
        files = find_files(path)
    except FileError as error:
        return sources, [Violation(None, error.rule, 0, str(error))], []
    budget = files.budget()
    for name, file in files.data:
        try:
            sources.append(read_source(name, file, budget))
        except FileError as error:
            violations.append(Violation(None, error.rule, 0, str(error)))
    return sources, violations, files.left_out


def _check_column(sources: Sequence[Source], column: Column, notation: Notation) -> tuple[Any | None, list[Finding]]:
    """Check one column in all files; rows of files that lack it count as nulls if another file has it."""
    present = [source for source in sources if source.table.column_names.count(column.name) == 1]
    if not present:
        return None, []
    chunks: list[Any] = []
    findings: list[Finding] = []
    for source in sources:
        if source not in present:
            chunks.append(pa.nulls(source.table.num_rows, ARROW_TYPES[column.type]))
            continue
        values, found = rules.check_values(source, column, notation)
        chunks += values.chunks if isinstance(values, pa.ChunkedArray) else [values]
        findings += found
    return pa.chunked_array(chunks, type=ARROW_TYPES[column.type]), findings


def _bias(table: Any, schema: Schema) -> bias.DataBias | None:
    if schema.facet is None or not {schema.facet.column, schema.target} <= set(table.column_names):
        return None
    return bias.measure(table[schema.facet.column], schema.facet.disadvantaged, table[schema.target])


def _summary(column: Column, values: Any) -> dict[str, Any]:
    rows = len(values)
    summary: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "role": column.role,
        "nulls": values.null_count,
        "null_fraction": values.null_count / rows if rows else 0.0,
    }
    if column.type in ("integer", "number"):
        extremes = pc.min_max(values)
        summary |= {
            "minimum": extremes["min"].as_py(),
            "maximum": extremes["max"].as_py(),
            "mean": pc.mean(values).as_py(),
        }
    else:
        counts = pc.value_counts(pc.drop_null(values)).slice(0, 50).to_pylist()
        summary["counts"] = {str(entry["values"]): entry["counts"] for entry in counts}
    return summary


if __name__ == "__main__":
    sys.exit(main())
