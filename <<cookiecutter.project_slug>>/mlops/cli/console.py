"""Progress and prompts, on standard error, so that standard output holds the result alone; tables of results."""

import sys

from mlops.base.errors import UsageError


def report(text: str) -> None:
    """Print progress and flush."""
    print(text, file=sys.stderr, flush=True)


def require_terminal(action: str) -> None:
    """Make sure that the user can be prompted.

    Args:
        action: What needs confirmation, to complete "Add --yes to ... without confirmation".

    Raises:
        MlopsError: Standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            "Cannot prompt: standard input is not a terminal.", f"Add --yes to {action} without confirmation."
        )


def prompt(question: str) -> str:
    """Ask the user a question and return the line they type."""
    report(question)
    return sys.stdin.readline().strip()


def table(rows: list[tuple[str, ...]]) -> str:
    """Format rows of text in aligned columns."""
    columns = max(len(row) for row in rows)
    padded = [(*row, *[""] * (columns - len(row))) for row in rows]
    widths = [max(len(row[column]) for row in padded) for column in range(columns)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in padded)
    return "\n".join(line.rstrip() for line in lines)
