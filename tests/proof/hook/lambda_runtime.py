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
        return self.invoked_function_arn.rpartition(":")[2]

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.seconds - (time.monotonic() - self.started)))


def main(handler: str, arn: str, seconds: str) -> None:
    if foreign := sorted(set(_imported(Path(os.environ["LAMBDA_TASK_ROOT"]))) - PROVIDED - sys.stdlib_module_names):
        raise ImportError(f"Lambda's Python has no {', '.join(foreign)}")
    module, _, function = handler.replace("/", ".").rpartition(".")
    event = json.load(sys.stdin)
    answer = getattr(importlib.import_module(module), function)(event, Context(arn, float(seconds)))
    print()
    print(json.dumps(answer))


def _imported(root: Path) -> Iterator[str]:
    """What the code below a folder imports from elsewhere."""
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                if not (root / top).exists() and not (root / f"{top}.py").exists():
                    yield top


main(*sys.argv[1:])
