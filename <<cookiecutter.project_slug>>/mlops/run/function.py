"""The entry point of a local Lambda step: call a Python function with the step's event."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from mlops.base.documents import read_document
from mlops.base.terminal import protect


def main(arguments: list[str]) -> int:
    """Call `module:function` with the event in one file and write its result to another.

    Args:
        arguments: The target, the file of the event, the file of the result, the file for the reason of a failure.
    """
    target, event, output, failure = arguments
    module, _, name = target.partition(":")
    try:
        handler = getattr(importlib.import_module(module), name)
        result = handler(read_document(Path(event), dict[str, Any], "The event", "Run the pipeline again."), None)
        Path(output).write_text(json.dumps(result), encoding="utf-8")
    except Exception as error:
        Path(failure).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        raise
    return 0


if __name__ == "__main__":
    protect()
    sys.exit(main(sys.argv[1:]))
