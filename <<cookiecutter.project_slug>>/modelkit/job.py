"""The command line of a step that runs as a job: arguments, exit code, and the failure file."""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from modelkit.messages import bounded
from modelkit.terminal import clean, protect


class JobError(Exception):
    """An error that the user can correct: the message says what is wrong, where, and what to do."""


class JobParser(argparse.ArgumentParser):
    """An argument parser that raises `JobError`, so that its messages are written to the failure file, too."""

    def __init__(self, module: str, description: str | None) -> None:
        super().__init__(prog=f"python -m modelkit.{module}", description=description, allow_abbrev=False)
        self.add_argument(
            "--failure-file", type=Path, metavar="FILE", help="file to write the error message to if the job fails"
        )

    def error(self, message: str) -> NoReturn:
        """Raise the message as a `JobError`."""
        raise JobError(f"{self.prog}: {message} (see --help)")


def run(parser: Callable[[], JobParser], work: Callable[[argparse.Namespace], None], argv: Sequence[str] | None) -> int:
    """Parse the arguments and run the step.

    Args:
        parser: Creates the argument parser of the step; may load the owner's code.
        work: The step, called with the parsed arguments.
        argv: The arguments; None for those of the process.

    Returns:
        The exit code: 0, or 1 after an error, which is written to stderr and to `--failure-file`, in at most 2 KB.

    Raises:
        Exception: A bug in the step's code; `--failure-file` has its type, message and line.
    """
    if argv is None:
        protect()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        work(parser().parse_args(arguments))
    except (JobError, OSError) as error:
        _report(str(error), _failure_file(arguments))
        return 1
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}, line {last.lineno}"
        _report(f"{type(error).__name__}: {error} ({place}; the log has the traceback)", _failure_file(arguments))
        raise
    return 0


def write_json(path: Path, document: Mapping[str, Any], indent: int | None = 2) -> None:
    """Write a document as JSON, indented or on one line; create the folder if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=indent, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _failure_file(arguments: list[str]) -> Path | None:
    """Return the value of `--failure-file`, even if the arguments cannot be parsed."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = argument.partition("=")
        if name == "--failure-file" and (value or following):
            return Path(value or following)
    return None


def _report(message: str, failure_file: Path | None) -> None:
    message = bounded(clean(message))  # SageMaker shows it as the reason of the failure
    print(f"error: {message}", file=sys.stderr)
    if failure_file is None:
        return
    try:
        failure_file.parent.mkdir(parents=True, exist_ok=True)
        failure_file.write_text(message + "\n", encoding="utf-8")
    except OSError as error:
        print(f"error: cannot write the failure file: {error}", file=sys.stderr)
