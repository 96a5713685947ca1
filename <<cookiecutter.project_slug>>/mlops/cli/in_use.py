"""Refuse to delete the state of a project that a process uses: `python -m mlops.cli.in_use`, for `make clean`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from mlops.base.commands import MLOPS
from mlops.base.environments import LOCAL
from mlops.base.errors import UsageError
from mlops.base.files import is_locked
from mlops.serving.state import LOCK_FILE

_STATE = Path(".mlops")
_EXECUTING = (".retraining.executing", "runs/*/.lock", "monitoring/*/.lock")


def uses(state: Path) -> Iterator[str]:
    """Yield what uses a project's state, with the command that ends it.

    Args:
        state: The folder of the state.
    """
    for lock in sorted(state.glob(f"endpoint/*/{LOCK_FILE}")):
        if is_locked(lock):
            environment = lock.parent.name
            where = "" if environment == LOCAL else f" --environment {environment}"
            yield f"A server uses {lock.parent}. Stop it: {MLOPS} serve --stop{where}"
    for pattern in _EXECUTING:
        for lock in filter(is_locked, sorted(state.glob(pattern))):
            yield f"A process that executes a run holds {lock}. Wait for it to end, or interrupt it with Ctrl-C."


def main() -> int:
    """Print what uses the state of the project in this folder; return 0 if nothing does."""
    found = list(uses(_STATE))
    for one in found:
        print(f"error: {one}", file=sys.stderr)
    return UsageError.exit_code if found else 0


if __name__ == "__main__":
    sys.exit(main())
