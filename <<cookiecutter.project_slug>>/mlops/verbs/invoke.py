"""Ask the approved model for predictions, in this process.

The request is a file of rows, or standard input: CSV, JSON (`{"instances": [...]}`) or JSON Lines.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlops.errors import MlopsError
from mlops.handlers import load
from mlops.platforms import registry
from mlops.project import LOCAL, Project
from mlops.registry import NOTHING_REGISTERED, TRAIN_ONE, champion, find

_CONTENT_TYPES = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/jsonlines"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `invoke`."""
    parser.add_argument("request", help="file of rows to predict, or - for standard input")
    parser.add_argument("--version", type=int, help="the version to ask (default: the approved one)")
    parser.add_argument("--content-type", help="of the request (default: by the file's ending; text/csv for -)")
    parser.add_argument("--accept", help="of the answer (default: as the request)")
    parser.add_argument("--environment", default=LOCAL, help="whose registry (default: %(default)s)")


def run(project: Project, options: Namespace) -> int:
    """Print the answer."""
    body, content_type = _request(options)
    source = registry(project, options.environment)
    versions = source.versions()
    version = find(versions, options.version) if options.version is not None else champion(versions)
    if version is None:
        if not versions:
            raise MlopsError(NOTHING_REGISTERED, TRAIN_ONE)
        raise MlopsError(
            "No version is approved.", "Approve one of those that `.venv/bin/python -m mlops models` lists."
        )
    handlers = load(source, version, project.state / "models")
    print(handlers.invoke(body, content_type, options.accept or content_type).rstrip("\n"))
    return 0


def _request(options: Namespace) -> tuple[bytes, str]:
    if options.request == "-":
        return sys.stdin.buffer.read(), options.content_type or _CONTENT_TYPES[".csv"]
    path = Path(options.request)
    content_type = options.content_type or _CONTENT_TYPES.get(path.suffix)
    if content_type is None:
        raise MlopsError(f"Of what type is {path}?", "Say it with --content-type text/csv, for instance.", exit_code=2)
    try:
        return path.read_bytes(), content_type
    except OSError as error:
        raise MlopsError(f"Cannot read {path}: {error.strerror}.", exit_code=2) from None
