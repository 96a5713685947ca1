"""Test the model deployed to an environment: correct predictions first, then latency and errors under load.

The limits are `smoke.max_p99_ms` and `smoke.max_error_share` in the configuration of the environment. An asynchronous
endpoint gets one request and no load; of scheduled batch predictions, the schedule and its model are checked.
"""

import csv
import io
import json
import sys
import uuid
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from mlops.base import capture
from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import MlopsError, UsageError
from mlops.base.limits import MAX_CONCURRENCY
from mlops.endpoints import load_test
from mlops.endpoints.adapters import endpoint_of
from mlops.endpoints.port import Endpoint
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.archives import load
from mlops.registry.versions import find

NEEDS = ("deploys",)

_CSV = "text/csv"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `smoke`."""
    parser.add_argument("--environment", default=LOCAL, help="environment of the model (default: %(default)s)")
    parser.add_argument(
        "--file",
        type=Path,
        default=Path("data/request.csv"),
        help="rows to predict, CSV with a header (default: %(default)s)",
    )
    parser.add_argument(
        "--requests", type=int, default=200, metavar="N", help="requests to send (default: %(default)s)"
    )
    parser.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="requests in flight (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON on standard output, the text on standard error"
    )


def run(target: Target, options: Namespace) -> int:
    """Test the model and print the result.

    Raises:
        MlopsError: A prediction is wrong or a limit is exceeded.
    """
    if options.requests < 1 or not 1 <= options.concurrency <= MAX_CONCURRENCY:
        raise UsageError(f"--requests must be at least 1, and --concurrency between 1 and {MAX_CONCURRENCY}.")
    server = endpoint_of(target)
    if server is None:
        return _check_schedule(target, options)
    version, rows = _require_correct(target, server, options.file)
    result = {"environment": options.environment, "version": version, "rows": len(rows)}
    if target.project.answer("inference") == "async" and not target.is_local:
        _print(result, options, f"Version {version} in {options.environment} predicts {len(rows)} rows correctly.")
        return 0
    max_p99_ms, max_error_share = (
        target.settings.number(f"smoke.{name}") for name in ("max_p99_ms", "max_error_share")
    )
    done = load_test.load(lambda body: _invoke(server, body), rows, options.requests, options.concurrency)
    broken = done.broken(max_p99_ms, max_error_share)
    _print({**result, **done.document(), "broken": broken}, options, _table(version, done, max_p99_ms, max_error_share))
    if broken:
        raise MlopsError(" ".join(broken), f"The limits are set in {target.settings.file('smoke.max_p99_ms')}.")
    return 0


def _require_correct(target: Target, server: Endpoint, file: Path) -> tuple[int, list[bytes]]:
    """Make sure that the deployed version predicts what the registered model predicts.

    Returns:
        The version, and one request per row.

    Raises:
        MlopsError: Nothing is deployed, the rows cannot be read, or a prediction is wrong.
    """
    serving = server.describe()
    if serving is None:
        deploy = f"Deploy: {MLOPS} deploy --environment {target.environment}"
        remedy = f"Serve it: {MLOPS} serve --detach" if target.is_local else deploy
        raise MlopsError(f"Nothing is deployed to {target.environment}.", remedy)
    header, rows = _read(file)
    body = _as_csv([header, *rows])
    source = registry_of(target)
    model = load(source, find(source.versions(), serving.version), target.project.state / "models")
    expected = load_test.probabilities(model.invoke(body, _CSV, _CSV))
    load_test.require_correct(load_test.probabilities(_invoke(server, body)), len(rows), expected)
    return serving.version, [_as_csv([header, row]) for row in rows]


def _invoke(server: Endpoint, body: bytes) -> str:
    """Send a request that is marked as a test and return the response."""
    return server.invoke(body, _CSV, _CSV, f"{capture.SMOKE}{uuid.uuid4()}")


def _read(file: Path) -> tuple[list[str], list[list[str]]]:
    """Read the header and the rows of a CSV file.

    Raises:
        MlopsError: It cannot be read, or has no rows.
    """
    try:
        header, *rows = [row for row in csv.reader(io.StringIO(file.read_text(encoding="utf-8"))) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"Cannot read {file}: {error}.") from None
    if not rows:
        raise UsageError(f"{file} has no rows below its header.")
    return header, rows


def _as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _check_schedule(target: Target, options: Namespace) -> int:
    """Make sure that the schedule predicts with the live version; no job is started."""
    if target.is_local:
        raise UsageError(
            "A project with batch predictions deploys nothing to this machine.",
            "Name an environment: --environment staging",
        )
    from mlops.batch.schedule import scheduled_version  # boto3 costs 0.2 s, which the local verbs do not pay

    version = scheduled_version(target)
    result = {"environment": options.environment, "version": version}
    _print(result, options, f"The schedule of {options.environment} predicts with version {version}, which is live.")
    return 0


def _table(version: int, done: load_test.Load, max_p99_ms: float, max_error_share: float) -> str:
    lines = [
        ("requests", f"{done.requests}", ""),
        ("errors", f"{done.error_share:.2%}", f"limit {max_error_share:.2%}"),
        *((f"p{percent}", f"{done.percentile(percent):.1f} ms", "") for percent in (50, 95)),
        ("p99", f"{done.percentile(99):.1f} ms", f"limit {max_p99_ms:.1f} ms"),
    ]
    rows = (f"  {name:<10}{value:>12}  {limit}".rstrip() for name, value, limit in lines)
    return "\n".join([f"Version {version} predicts what the registered model predicts. Under load:", *rows])


def _print(result: dict[str, Any], options: Namespace, text: str) -> None:
    print(text, file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps(result, indent=2))
