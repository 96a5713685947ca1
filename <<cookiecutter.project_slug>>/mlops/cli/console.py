"""Telling the reader how things go, and asking before they do: on standard error, beside the result."""

import sys

from mlops.base.errors import UsageError


def say(text: str) -> None:
    """Tell the reader at once."""
    print(text, file=sys.stderr, flush=True)


def require_reader(purpose: str) -> None:
    """Make sure that somebody can be asked.

    Args:
        purpose: What they are asked for, to complete "to ... without a question".

    Raises:
        MlopsError: Standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError("There is nobody to ask.", f"Add --yes to {purpose} without a question.")


def ask(question: str) -> str:
    """What the reader types in answer to a question."""
    say(question)
    return sys.stdin.readline().strip()
