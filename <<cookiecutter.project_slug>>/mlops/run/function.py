"""The entry point of a local Lambda step: call a Python function with the step's event."""

import importlib
import json
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Call `module:function` with the event in one file and write its result to another.

    Args:
        arguments: The target, the file of the event, the file of the result.
    """
    target, event, output = arguments
    module, _, name = target.partition(":")
    handler = getattr(importlib.import_module(module), name)
    result = handler(json.loads(Path(event).read_text(encoding="utf-8")), None)
    Path(output).write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
