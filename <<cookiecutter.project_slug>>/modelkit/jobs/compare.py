"""Compare the requests to a version of the model in a time window with its training data.

Requests are read with the schema that the version was trained with.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from modelkit import captured, signature
from modelkit.baseline import CONSTRAINTS_FILE, STATISTICS_FILE
from modelkit.job import JobError, JobParser, run, write_json
from modelkit.signature import SCHEMA_FILE
from modelkit.statistics import constraints, statistics
from modelkit.violations import COMPARISON_FILE, Comparison, Limits, WindowDocument, compare

VIOLATIONS_FILE = "constraint_violations.json"
_BUCKETS = 20


def evaluate(
    rows: captured.Captured, baseline: dict[str, Any], rules: dict[str, Any], limits: Limits
) -> tuple[WindowDocument, dict[str, Any]]:
    """Return the comparison of captured rows with a baseline, and the rows' own statistics.

    Args:
        rows: The captured rows.
        baseline: The baseline's `statistics.json`.
        rules: The baseline's `constraints.json`.
        limits: The limits of differences.
    """
    found = statistics(rows.table)
    same = Comparison([], [], drift=False, quality=False)
    comparison = compare(baseline, rules, found, rows.invalid, limits) if rows.table.num_rows else same
    counts, _ = np.histogram(rows.predictions, bins=_BUCKETS, range=(0, 1))
    return {
        "rows": rows.table.num_rows,
        "records": rows.records,
        "smoke": rows.smoke,
        "torn": rows.torn,
        "damaged": rows.damaged,
        "damaged_at": rows.damaged_at,
        "first": rows.first,
        "last": rows.last,
        "predictions": {
            "mean": float(np.mean(rows.predictions)) if rows.predictions else None,
            "histogram": counts.tolist(),
        },
        "features": [asdict(feature) for feature in comparison.features],
        "violations": comparison.violations,
        "drift": comparison.drift,
        "quality": comparison.quality,
        "drifted": comparison.drifted,
    }, found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step; return exit code 1 if there is nothing to compare with."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.compare", __doc__)
    parser.add_argument("--schema", type=Path, required=True, metavar="FILE", help=f"the version's {SCHEMA_FILE}")
    parser.add_argument("--captured", type=Path, required=True, metavar="DIR", help="the captured objects")
    parser.add_argument("--baseline", type=Path, required=True, metavar="DIR", help="the documents of the baseline")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the window's documents")
    parser.add_argument("--start", default="", metavar="TIME", help="UTC, 2026-01-31T23:59:59Z (default: the first)")
    parser.add_argument("--end", default="", metavar="TIME", help="UTC, not included (default: no end)")
    parser.add_argument(
        "--test-prefix", required=True, metavar="ID", help="prefix of the inference ids of records to exclude"
    )
    for name in Limits.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, required=True, metavar="X")
    return parser


def _work(arguments: argparse.Namespace) -> None:
    limits = Limits(**{name: getattr(arguments, name) for name in Limits.__dataclass_fields__})
    baseline = _document(arguments.baseline / STATISTICS_FILE)
    rules = _document(arguments.baseline / CONSTRAINTS_FILE)
    try:
        schema, _ = signature.read(arguments.schema)
    except ValueError as error:
        raise JobError(str(error)) from error
    rows = captured.read(arguments.captured, schema, arguments.start, arguments.end, arguments.test_prefix)
    try:
        comparison, found = evaluate(rows, baseline, rules, limits)
    except (LookupError, TypeError, ValueError) as error:
        raise JobError(f"{arguments.baseline}: the baseline is not in Model Monitor's format: {error!r}") from error
    write_json(arguments.output / STATISTICS_FILE, found, indent=None)
    write_json(arguments.output / CONSTRAINTS_FILE, constraints(found), indent=None)
    write_json(arguments.output / VIOLATIONS_FILE, {"violations": comparison["violations"]}, indent=None)
    write_json(arguments.output / COMPARISON_FILE, comparison, indent=None)
    print(f"{comparison['rows']} rows, {len(comparison['violations'])} violations")


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{path}: the baseline cannot be read: {error}") from error
    return document


if __name__ == "__main__":
    sys.exit(main())
