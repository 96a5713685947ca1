"""What generating a project costs beside `import cookiecutter.main`, which every template pays.

The ratio is that of processor time, which depends less than elapsed time on what else the machine does. A disk that is
slow at creating files shows in both: compare releases in one run, or with `TMPDIR=/dev/shm`.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 15
GOAL = 2.5


def seconds(command: list[str]) -> float:
    """The processor time of a command, with that of the processes that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
