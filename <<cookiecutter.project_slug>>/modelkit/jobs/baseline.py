"""Write the baseline of a data set: its statistics, and the constraints that follow from them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from modelkit.baseline import CONSTRAINTS_FILE, STATISTICS_FILE, read
from modelkit.job import JobParser, run, write_json
from modelkit.statistics import constraints, statistics


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step; return exit code 1 if the data cannot be described."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.baseline", __doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data files' folder, or one file")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help=f"folder for {STATISTICS_FILE} and {CONSTRAINTS_FILE}"
    )
    parser.add_argument("--columns", metavar="A,B", help="the columns to describe (default: all)")
    return parser


def _work(arguments: argparse.Namespace) -> None:
    columns = [name.strip() for name in arguments.columns.split(",")] if arguments.columns else None
    found = statistics(read(arguments.data, columns))
    write_json(arguments.output / STATISTICS_FILE, found, indent=None)
    write_json(arguments.output / CONSTRAINTS_FILE, constraints(found), indent=None)
    print(f"baseline of {found['dataset']['item_count']} rows and {len(found['features'])} columns")


if __name__ == "__main__":
    sys.exit(main())
