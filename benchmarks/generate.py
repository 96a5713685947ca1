"""How long generating a project takes beside `import cookiecutter.main`, which every template pays."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 15
GOAL = 2.5


def seconds(command: list[str]) -> float:
    """How long a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure both in turn and print medians and their ratio."""
    imports, renders = [], []
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "template"
        # Cookiecutter leaves its rendered hooks in the folder of temporary files.
        os.environ["TMPDIR"] = folder
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        for number in range(ROUNDS + 1):
            output = str(Path(folder) / str(number))
            imported = seconds([sys.executable, "-c", "import cookiecutter.main"])
            rendered = seconds([sys.executable, "-m", "cookiecutter", str(clone), "--no-input", "--output-dir", output])
            if number:  # the first round warms the caches
                imports.append(imported)
                renders.append(rendered)
    floor, ours = statistics.median(imports), statistics.median(renders)
    print(f"import cookiecutter.main  {1000 * floor:6.0f} ms")
    print(f"generate a project        {1000 * ours:6.0f} ms   {ours / floor:.2f} x   (goal: <= {GOAL} x)")


if __name__ == "__main__":
    main()
