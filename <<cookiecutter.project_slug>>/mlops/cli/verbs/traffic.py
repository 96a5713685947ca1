"""Send the server rows like those of the data, one a request; with --drift, rows from a world that has moved on.

The rows are drawn from the data of the configuration. With --labels they are also written, with their true targets, to
a file that can stand beside that data: what comes in later, once the truth is known.
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

from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError
from mlops.endpoints.local import LocalEndpoint
from mlops.project.project import Project
from mlops.registry.adapters import registry


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `traffic`."""
    parser.add_argument("--rows", type=int, default=1000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, other rows (default: 0)")
    parser.add_argument(
        "--drift", type=float, default=0.0, metavar="D",
        help="standard deviations that every number is moved up, within the limits of the schema (default: 0)",
    )  # fmt: skip
    parser.add_argument("--labels", type=Path, metavar="FILE", help="also write the rows with their targets (.csv)")
    parser.add_argument("--data", type=Path, help="file or folder to draw from (default: `data_folder` in config)")
    parser.add_argument("--environment", default=LOCAL, help="whose server (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(project: Project, options: Namespace) -> int:
    """Send the rows, one after the other; 0 when the server answered all of them."""
    if options.rows < 1 or options.seed < 0:
        raise UsageError("--rows must be at least 1, and --seed at least 0.")
    if options.labels and options.labels.exists():
        raise UsageError(f"{options.labels} exists already.", "Name another file, or remove it.")
    deployment = LocalEndpoint(project, options.environment, registry(project, options.environment)).describe()
    if deployment is None:
        raise MlopsError("Nothing is served.", "Serve: .venv/bin/python -m mlops serve --detach")
    requests = _requests(project, options)
    begun = time.perf_counter()
    statuses, refusal = _send(deployment.url, requests)
    seconds = time.perf_counter() - begun
    answered = statuses[http.client.OK]
    if options.json:
        counts = {str(status): count for status, count in sorted(statuses.items())}
        print(json.dumps({"version": deployment.version, "seconds": seconds, "statuses": counts}, indent=2))
    else:
        print(f"Version {deployment.version} answered {answered:,} of {options.rows:,} requests in {seconds:.1f} s.")
        if options.labels:
            print(f"Their truth is in {options.labels}.")
    if refusal:
        print(f"The first refusal: {refusal}", file=sys.stderr)
    return 0 if answered == options.rows else 1


def _requests(project: Project, options: Namespace) -> list[bytes]:
    """The body of each request, CSV without a header; the labels are written."""
    sys.path.insert(0, str(project.root / "src"))
    from model.schema import SCHEMA
    from modelkit import dataset, synthetic
    from modelkit.job import JobError

    source = options.data or project.root / str(project.environment(options.environment)["data_folder"])
    try:
        table = dataset.read_typed(source, SCHEMA)
        rows = synthetic.resample(table, SCHEMA, options.rows, options.seed, options.drift)
        if options.labels:
            synthetic.write(rows, options.labels)
    except JobError as error:
        raise UsageError(f"No rows can be made: {error}.") from None
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
    """How many requests were answered with which status, and what the first refusal said."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    statuses: Counter[int] = Counter()
    refusal = ""
    try:
        for body in bodies:
            connection.request("POST", "/invocations", body, {"Content-Type": "text/csv", "Accept": "text/csv"})
            response = connection.getresponse()
            answer = response.read().decode(errors="replace")
            statuses[response.status] += 1
            if response.status != http.client.OK:
                refusal = refusal or answer.strip()
    except (OSError, http.client.HTTPException) as error:
        raise MlopsError(f"The server went away after {statuses.total()} requests: {error}.") from None
    finally:
        connection.close()
    return statuses, refusal
