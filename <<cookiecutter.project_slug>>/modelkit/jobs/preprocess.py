"""Convert the data to the schema's types and split it into train, validation and test with `model/preprocess.py`.

The rows of the test set are kept as they were read as well, with all columns: the champion may have another schema.

Any number of instances, each with a share of the files in any order, make the same split without communication.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelkit import documents, owner
from modelkit.dataset import Source, raw, read_sources, typed, write_parquet
from modelkit.job import JobError, JobParser, run
from modelkit.splitting import SPLITS

RAW = "raw"
"""The folder of the test rows as they were read."""

ROW = "__row__"
"""The column, in the table that is split, with the position of each row in the files."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step."""
    return run(_parser, _work, argv)


def _parser() -> JobParser:
    parser = JobParser("jobs.preprocess", __doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of data files, or one file")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for train/, validation/, test/ and raw/, with a file each",
    )
    parser.add_argument("--train-fraction", type=float, default=0.7, metavar="F", help="default %(default)s")
    parser.add_argument("--validation-fraction", type=float, default=0.15, metavar="F", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    host = parser.add_mutually_exclusive_group()
    host.add_argument("--host", default="algo-1", metavar="NAME", help="host, for file names (default %(default)s)")
    host.add_argument(
        "--resource-config", type=Path, metavar="FILE", help="SageMaker's resourceconfig.json, to read the host from"
    )
    return parser


def _work(arguments: argparse.Namespace) -> None:
    _check_fractions(arguments.train_fraction, arguments.validation_fraction)
    host = arguments.host if arguments.resource_config is None else _current_host(arguments.resource_config)
    schema, split = owner.load("schema", "SCHEMA"), owner.load("preprocess", "split")
    sources = read_sources(arguments.data)
    table = typed(sources, schema)
    table = table.append_column(ROW, pa.array(np.arange(table.num_rows)))
    labelled = table.filter(pc.is_valid(table[schema.target]))
    if unlabelled := table.num_rows - labelled.num_rows:
        print(f"left out: {unlabelled} rows without '{schema.target}'")
    parts = split(labelled, arguments.train_fraction, arguments.validation_fraction, arguments.seed)
    if parts.keys() != set(SPLITS):
        raise JobError(f"model/preprocess.py: split must return {', '.join(SPLITS)}, not {', '.join(parts)}")
    write_parquet(_as_read(parts["test"], sources), arguments.output / RAW / f"part-{host}.parquet")
    for name, part in parts.items():
        kept = part.select([column for column in part.column_names if column != ROW])
        write_parquet(kept, arguments.output / name / f"part-{host}.parquet")
        print(f"{name}: {part.num_rows} rows")


def _as_read(part: Any, sources: Sequence[Source]) -> Any:
    """Return the rows of a part of the data with all columns, as they were read."""
    if ROW in part.column_names:
        return raw(sources).take(part[ROW])
    print(f"{RAW}: model/preprocess.py returns no '{ROW}', so a champion is scored on the schema's columns only")
    return part


def _check_fractions(train: float, validation: float) -> None:
    for option, value in (("--train-fraction", train), ("--validation-fraction", validation)):
        if not (math.isfinite(value) and 0 < value < 1):
            raise JobError(f"{option} must be above 0 and below 1, not {value:g}")
    if train + validation >= 1:
        raise JobError(
            f"--train-fraction {train:g} and --validation-fraction {validation:g} leave no rows for the test set"
        )


def _current_host(path: Path) -> str:
    try:
        host = documents.read(path)["current_host"]
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path}: not a resource configuration with a current_host ({error!r})") from error
    return str(host)


if __name__ == "__main__":
    sys.exit(main())
