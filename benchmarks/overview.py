"""How long `python -m mlops --help` takes beside a bare interpreter, which every program pays."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "<<cookiecutter.project_slug>>"
ROUNDS = 25
GOAL = 5


def seconds(*arguments: str) -> float:
    """How long Python takes with some arguments."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=PROJECT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure both in turn and print medians and their ratio."""
    rounds = [(seconds("-c", "pass"), seconds("-m", "mlops", "--help")) for _ in range(ROUNDS)]
    floor, ours = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"a bare interpreter        {1000 * floor:6.0f} ms")
    print(f"the overview of verbs     {1000 * ours:6.0f} ms   {ours / floor:.2f} x   (goal: <= {GOAL} x)")


if __name__ == "__main__":
    main()
