"""Request predictions from the model.

The request is a file of rows, or standard input: CSV, JSON (`{"instances": [...]}`) or JSON Lines. It is sent to the
server that `serve` started; if none is running, the approved model predicts in this process. In an environment that
models are deployed to, it is sent to the endpoint.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlops.base.environments import LOCAL
from mlops.base.errors import UsageError
from mlops.base.payloads import ENDPOINTS
from mlops.endpoints.adapters import endpoint_of
from mlops.endpoints.payload import max_payload_mb, require_fits
from mlops.project.target import Target
from mlops.registry.adapters import registry_of
from mlops.registry.archives import load
from mlops.registry.versions import version_to_use

_CONTENT_TYPES = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/jsonlines"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `invoke`."""
    parser.add_argument("request", help="file of rows to predict, or - for standard input")
    parser.add_argument("--version", type=int, help="predict with this version, in this process")
    parser.add_argument("--content-type", help="type of the request (default: from the file extension; text/csv for -)")
    parser.add_argument("--accept", help="type of the response (default: that of the request)")
    parser.add_argument("--environment", default=LOCAL, help="environment of the model (default: %(default)s)")


def run(target: Target, options: Namespace) -> int:
    """Print the response."""
    body, content_type = _request(options)
    accept = options.accept or content_type
    server = endpoint_of(target) if options.version is None else None
    serving = server.describe() if server else None
    if server and (serving or target.is_deployed_to):
        response = server.invoke(body, content_type, accept)
        if serving:
            print(f"version {serving.version} at {serving.url}:", file=sys.stderr)
    else:
        if target.project.answer("inference") in ENDPOINTS:  # here, too, what the endpoint would refuse
            require_fits(body, "the endpoint", max_payload_mb(target))
        source = registry_of(target)
        version = version_to_use(source.versions(), options.version)
        response = load(source, version, target.project.state / "models").invoke(body, content_type, accept)
    print(response.rstrip("\n"))
    return 0


def _request(options: Namespace) -> tuple[bytes, str]:
    if options.request == "-":
        return sys.stdin.buffer.read(), options.content_type or _CONTENT_TYPES[".csv"]
    path = Path(options.request)
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Name a file of rows, for example data/request.csv.")
    content_type = options.content_type or _CONTENT_TYPES.get(path.suffix)
    if content_type is None:
        raise UsageError(f"Unknown content type of {path}.", "Set it, for example with --content-type text/csv.")
    try:
        return path.read_bytes(), content_type
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from None
