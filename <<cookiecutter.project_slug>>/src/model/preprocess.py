"""Type the data and split it into train, validation and test, all rows of a group together.

Where a row goes depends only on its group and the seed. So any number of instances, each with its share of the files
in any order, make the same split without speaking to each other.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from model.dataset import read_typed, write_parquet
from model.job import JobError, JobParser, run
from model.schema import SCHEMA

SPLITS = ("train", "validation", "test")


def positions(groups: Any, seed: int) -> npt.NDArray[np.float64]:
    """Return for each of n rows a number in [0, 1), uniform over groups and the same for all rows of a group.

    Args:
        groups: Arrow array of n integers or strings, none of them null.
        seed: Another seed, another split.
    """
    encoded = pc.dictionary_encode(groups)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    key = str(seed).encode()
    digests = b"".join(
        hashlib.blake2b(str(group).encode(), digest_size=8, key=key).digest()
        for group in encoded.dictionary.to_pylist()
    )
    top_53_bits = np.frombuffer(digests, dtype="<u8") >> np.uint64(11)  # all that a float64 below 1 can hold
    return np.asarray((top_53_bits / 2.0**53)[encoded.indices.to_numpy()])


def split(table: Any, group: str, train_fraction: float, validation_fraction: float, seed: int) -> dict[str, Any]:
    """Split a table into train, validation and test tables; what the first two leave is for the test.

    Raises:
        JobError: A row has no group, or a split has no row.
    """
    if table[group].null_count:
        raise JobError(f"column '{group}': {table[group].null_count} rows have no value, and the split needs it")
    place = np.digitize(positions(table[group], seed), [train_fraction, train_fraction + validation_fraction])
    parts = {name: table.filter(pa.array(place == index)) for index, name in enumerate(SPLITS)}
    for name, part in parts.items():
        if part.num_rows == 0:
            groups = pc.count_distinct(table[group]).as_py()
            raise JobError(
                f"the {name} split is empty: {table.num_rows} rows with {groups} values of '{group}' are too few"
            )
    return parts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step."""
    parser = JobParser("preprocess", __doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder of data files, or one file")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets train/, validation/ and test/, a file in each",
    )
    parser.add_argument("--train-fraction", type=float, default=0.7, metavar="F", help="default %(default)s")
    parser.add_argument("--validation-fraction", type=float, default=0.15, metavar="F", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    host = parser.add_mutually_exclusive_group()
    host.add_argument("--host", default="algo-1", metavar="NAME", help="names the files (default %(default)s)")
    host.add_argument(
        "--resource-config", type=Path, metavar="FILE", help="SageMaker's resourceconfig.json, to read the host from"
    )
    return run(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    _check_fractions(arguments.train_fraction, arguments.validation_fraction)
    host = arguments.host if arguments.resource_config is None else _current_host(arguments.resource_config)
    table = read_typed(arguments.data, SCHEMA)
    parts = split(table, SCHEMA.group, arguments.train_fraction, arguments.validation_fraction, arguments.seed)
    for name, part in parts.items():
        write_parquet(part, arguments.output / name / f"part-{host}.parquet")
        print(f"{name}: {part.num_rows} rows")


def _check_fractions(train: float, validation: float) -> None:
    for option, value in (("--train-fraction", train), ("--validation-fraction", validation)):
        if not (math.isfinite(value) and 0 < value < 1):
            raise JobError(f"{option} must be above 0 and below 1, not {value:g}")
    if train + validation >= 1:
        raise JobError(
            f"--train-fraction {train:g} and --validation-fraction {validation:g} leave nothing for the test"
        )


def _current_host(path: Path) -> str:
    try:
        host = json.loads(path.read_text(encoding="utf-8"))["current_host"]
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(f"{path}: not a resource configuration with a current_host ({error!r})") from error
    return str(host)


if __name__ == "__main__":
    sys.exit(main())
