"""Runs a handler as AWS Lambda does: `lambda_runtime.py HANDLER ARN SECONDS`, the event on standard input.

The answer is the last line of standard output. A handler that imports what Lambda's Python has not, fails.
"""

import ast
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Lambda's runtimes hold boto3 and what it depends on.
PROVIDED = {"boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}


@dataclass
class Context:
    """What a handler is told of its invocation."""

    invoked_function_arn: str
    seconds: float
    aws_request_id: str = "00000000-0000-4000-8000-000000000001"
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "128"
    started: float = field(default_factory=time.monotonic)

    @property
    def function_name(self) -> str:
        """The last part of the ARN."""
        return self.invoked_function_arn.rpartition(":")[2]

    def get_remaining_time_in_millis(self) -> int:
        """How long the handler may still take."""
        return int(1000 * (self.seconds - (time.monotonic() - self.started)))


def main(handler: str, arn: str, seconds: str) -> None:
    """Run a handler and print its answer."""
    module, _, function = handler.replace("/", ".").rpartition(".")
    foreign = set(_foreign(Path(os.environ["LAMBDA_TASK_ROOT"]), module)) - PROVIDED - sys.stdlib_module_names
    if foreign:
        raise ImportError(f"Lambda's Python has no {', '.join(sorted(foreign))}")
    event = json.load(sys.stdin)
    answer = getattr(importlib.import_module(module), function)(event, Context(arn, float(seconds)))
    print()
    print(json.dumps(answer))


def _foreign(root: Path, handler: str) -> Iterator[str]:
    """The packages from elsewhere that a module below a folder imports, and the modules there that it imports."""
    known, waiting = set[Path](), [handler]
    while waiting:
        module = waiting.pop()
        if not (root / module.partition(".")[0]).exists() and not _file(root, module):
            yield module.partition(".")[0]
            continue
        parts = module.split(".")
        for length in range(1, len(parts) + 1):  # importing a module imports the packages that it stands in
            file = _file(root, ".".join(parts[:length]))
            if file and file not in known:
                known.add(file)
                waiting += _imported(file)


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)  # a module, or what one holds


main(*sys.argv[1:])
