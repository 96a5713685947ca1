"""Compare what a version of the model was asked in a window of time with the data that it was trained on.

Run with the code of that version's archive (its package `model`) on the path: requests are read by the schema that the
version was made under.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlops.base.errors import MlopsError
from mlops.monitor import captured
from mlops.monitor.baseline import CONSTRAINTS_FILE, STATISTICS_FILE, write
from mlops.monitor.statistics import constraints, statistics
from mlops.monitor.violations import COMPARISON_FILE, Comparison, Limits, compare
from model.schema import SCHEMA

VIOLATIONS_FILE = "constraint_violations.json"
_BUCKETS = 20


def evaluate(
    rows: captured.Captured, baseline: dict[str, Any], rules: dict[str, Any], limits: Limits
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the comparison of captured rows with a baseline, and the rows' own statistics.

    Args:
        rows: What was captured.
        baseline: The baseline's `statistics.json`.
        rules: The baseline's `constraints.json`.
        limits: When a difference counts.
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
        **comparison.document(),
    }, found


def main(argv: Sequence[str] | None = None) -> int:
    """Write the documents; exit code 1 when there is nothing to compare with."""
    parser = argparse.ArgumentParser(prog="python -m mlops.monitor.compare", description=__doc__)
    parser.add_argument("--captured", type=Path, required=True, metavar="DIR", help="the captured objects")
    parser.add_argument("--baseline", type=Path, required=True, metavar="DIR", help="the documents of the baseline")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gets the documents of the window")
    parser.add_argument("--start", default="", metavar="TIME", help="UTC, 2026-01-31T23:59:59Z (default: the first)")
    parser.add_argument("--end", default="", metavar="TIME", help="UTC, not included (default: no end)")
    for name in Limits.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, required=True, metavar="X")
    arguments = parser.parse_args(argv)
    limits = Limits(**{name: getattr(arguments, name) for name in Limits.__dataclass_fields__})
    try:
        baseline = _document(arguments.baseline / STATISTICS_FILE)
        rules = _document(arguments.baseline / CONSTRAINTS_FILE)
        rows = captured.read(arguments.captured, SCHEMA, arguments.start, arguments.end)
        try:
            comparison, found = evaluate(rows, baseline, rules, limits)
        except (LookupError, TypeError, ValueError) as error:
            raise MlopsError(
                f"{arguments.baseline}: the baseline is not what Model Monitor writes: {error!r}"
            ) from None
        write(arguments.output / STATISTICS_FILE, found)
        write(arguments.output / CONSTRAINTS_FILE, constraints(found))
        write(arguments.output / VIOLATIONS_FILE, {"violations": comparison["violations"]})
        write(arguments.output / COMPARISON_FILE, comparison)
    except (MlopsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{comparison['rows']} rows, {len(comparison['violations'])} violations")
    return 0


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MlopsError(f"{path}: the baseline cannot be read: {error}.") from None
    return document


if __name__ == "__main__":
    sys.exit(main())
