"""The entry point of a local batch transform job: apply the model's handlers to every object of an input."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from mlops.base.errors import MlopsError
from mlops.base.files import all_files_below, write_text
from mlops.base.handlers import load_unpacked
from mlops.base.payloads import MEGABYTE
from mlops.base.terminal import protect

SINGLE_RECORD = "SingleRecord"


def requests(body: bytes, *, by_line: bool, single: bool, limit: int) -> Iterator[bytes]:
    """Split an object into the requests of a batch transform.

    Args:
        body: The object.
        by_line: Whether SplitType is Line; else the object is one request.
        single: Whether BatchStrategy is SingleRecord: a request for each line.
        limit: The largest request, in bytes; 0 for no limit.

    Raises:
        MlopsError: A record is larger than the limit.
    """
    records = [line + b"\n" for line in body.splitlines() if line.strip()] if by_line else [body]
    batch = b""
    for record in records:
        if limit and len(record) > limit:
            raise MlopsError(f"A record of {len(record)} bytes is larger than MaxPayloadInMB allows ({limit} bytes).")
        if batch and (single or (limit and len(batch) + len(record) > limit)):
            yield batch
            batch = b""
        batch += record
    if batch:
        yield batch


def main(arguments: list[str]) -> int:
    """Write `<name>.out` for every object of the input; return 1 if a request is rejected."""
    parser = argparse.ArgumentParser(prog="python -m mlops.run.transform", description=__doc__)
    for name in ("model", "input", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--content-type", required=True)
    parser.add_argument("--accept", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--strategy", required=True)
    parser.add_argument("--max-payload", type=int, required=True, help="megabytes")
    options = parser.parse_args(arguments)
    by_line, single = options.split == "Line", options.strategy == SINGLE_RECORD
    limit = options.max_payload * MEGABYTE
    name = ""
    try:
        handlers = load_unpacked(options.model, "The model")
        for name, path in all_files_below(options.input):
            parts = requests(path.read_bytes(), by_line=by_line, single=single, limit=limit)
            responses = [handlers.invoke(part, options.content_type, options.accept) for part in parts]
            write_text(options.output / f"{name}.out", "".join(responses))
    except MlopsError as error:
        print(f"{name}: {error}" if name else error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    protect()
    sys.exit(main(sys.argv[1:]))
