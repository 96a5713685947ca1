"""Send sampled rows to the server, one per request; with --drift, rows of a shifted distribution.

The rows are sampled from the configured data. With --labels they are also written, with their true targets, to a file
that can be added to that data, as labels that arrive later.
"""

import csv
import http.client
import io
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError
from mlops.endpoints.local import LocalEndpoint
from mlops.project.target import Target
from mlops.registry.adapters import registry_of

NEEDS = ("serves", "trains")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `traffic`."""
    parser.add_argument("--rows", type=int, default=1000, metavar="N", help="rows to send (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the sample (default: %(default)s)")
    parser.add_argument(
        "--drift", type=float, default=0.0, metavar="D",
        help="standard deviations to shift every number by, within the limits of the schema (default: 0)",
    )  # fmt: skip
    parser.add_argument("--labels", type=Path, metavar="FILE", help="also write the rows with their targets (.csv)")
    parser.add_argument("--data", type=Path, help="file or folder to sample from (default: `data_folder` in config)")
    parser.add_argument("--environment", default=LOCAL, help="environment of the server (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(target: Target, options: Namespace) -> int:
    """Send the rows one after another; return 0 if every request succeeded."""
    if options.rows < 1 or options.seed < 0:
        raise UsageError("--rows must be at least 1, and --seed at least 0.")
    if options.labels and options.labels.exists():
        raise UsageError(f"{options.labels} already exists.", "Name another file, or remove it.")
    deployment = LocalEndpoint(target, registry_of(target)).describe()
    if deployment is None:
        raise MlopsError("No server is running.", f"Start one: {MLOPS} serve --detach")
    requests = _requests(target, options)
    started = time.perf_counter()
    statuses, first_error = _send(deployment.url, requests)
    seconds = time.perf_counter() - started
    answered = statuses[http.client.OK]
    if options.json:
        counts = {str(status): count for status, count in sorted(statuses.items())}
        print(json.dumps({"version": deployment.version, "seconds": seconds, "statuses": counts}, indent=2))
    else:
        print(f"Version {deployment.version} answered {answered:,} of {options.rows:,} requests in {seconds:.1f} s.")
        if options.labels:
            print(f"The rows and their targets are in {options.labels}.")
    if first_error:
        print(f"First error: {first_error}", file=sys.stderr)
    return 0 if answered == options.rows else 1


def _requests(target: Target, options: Namespace) -> list[bytes]:
    """Return the body of each request, CSV without a header, and write the labels if requested."""
    sys.path.insert(0, str(target.project.root / "src"))
    from model.schema import SCHEMA
    from modelkit import dataset, synthetic
    from modelkit.job import JobError

    source = options.data or target.project.root / str(target.settings["data_folder"])
    try:
        table = dataset.read_typed(source, SCHEMA)
        rows = synthetic.resample(table, SCHEMA, options.rows, options.seed, options.drift)
        if options.labels:
            synthetic.write(rows, options.labels)
    except JobError as error:
        raise UsageError(f"Cannot sample rows: {error}.") from None
    columns = [rows[name].to_pylist() for name in SCHEMA.feature_names]
    return list(_bodies(zip(*columns, strict=True)))


def _bodies(rows: Any) -> Iterator[bytes]:
    for row in rows:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(
            int(value) if isinstance(value, bool) else value for value in row
        )
        yield line.getvalue().encode()


def _send(url: str, bodies: list[bytes]) -> tuple[Counter[int], str]:
    """Send the requests; return the number of responses by status, and the body of the first error."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    statuses: Counter[int] = Counter()
    first_error = ""
    try:
        for body in bodies:
            connection.request("POST", "/invocations", body, {"Content-Type": "text/csv", "Accept": "text/csv"})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            statuses[response.status] += 1
            if response.status != http.client.OK:
                first_error = first_error or text.strip()
    except (OSError, http.client.HTTPException) as error:
        raise MlopsError(f"The connection to the server failed after {statuses.total()} requests: {error}.") from None
    finally:
        connection.close()
    return statuses, first_error
