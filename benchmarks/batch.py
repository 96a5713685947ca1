"""How long batch predictions take beside the usual style: pandas in and out, the same model, the same answers."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from local_run import make_project

USUAL = """
import json, sys, time
import pandas, xgboost
from model.derive import DERIVED, FEATURE_NAMES
from model.schema import SCHEMA
model, data, output = sys.argv[1:]
booster = xgboost.Booster({"nthread": 1})
booster.load_model(model)
began = time.perf_counter()
rows = pandas.read_csv(data)
frame = rows[list(SCHEMA.feature_names)].copy()
for column in SCHEMA.features:
    if column.categories:
        frame[column.name] = pandas.Categorical(frame[column.name], column.categories).codes
frame = frame.astype("float32")
for name, function in DERIVED.items():
    frame[name] = function(frame)
predictions = booster.predict(xgboost.DMatrix(frame[list(FEATURE_NAMES)]))
pandas.Series(predictions).to_csv(output, index=False, header=False)
print(json.dumps({"seconds": time.perf_counter() - began, "rows": len(rows)}))
"""


def run(command: list[str], project: Path, **variables: str) -> tuple[float, dict[str, Any]]:
    """Run a program that prints JSON; the seconds it took in all, and what it printed."""
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **variables}
    started = time.perf_counter()
    printed = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, json.loads(printed)


def prepare(project: Path, rows: int, folder: Path) -> tuple[Path, Path]:
    """Train and approve a model and repeat the sample until there are enough rows; the model's folder and the data."""
    python = str(project / ".venv/bin/python")
    for verb in (["run"], ["approve", "latest"], ["batch", "data/request.csv", "--output", str(folder / "first")]):
        subprocess.run([python, "-m", "mlops", *verb], cwd=project, check=True, capture_output=True)
    data = folder / "visits.csv"
    program = (
        "import sys, pyarrow, pyarrow.csv as csv\n"
        "table = csv.read_csv('data/raw/visits.csv.gz'); rows = int(sys.argv[1])\n"
        "table = pyarrow.concat_tables([table] * (rows // len(table) + 1)).slice(0, rows)\n"
        "csv.write_csv(table, sys.argv[2])"
    )
    subprocess.run([python, "-c", program, str(rows), str(data)], cwd=project, check=True)
    return max((project / ".mlops/models").glob("*/model.ubj"), key=lambda path: path.stat().st_mtime), data


def difference(ours: Path, theirs: Path) -> float:
    """The largest difference between two files of predictions."""
    pairs = zip(ours.read_text().split(), theirs.read_text().split(), strict=True)
    return max(abs(float(one) - float(other)) for one, other in pairs)


def main() -> None:
    """Measure both in interleaved rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--project", type=Path, help="a batch project that is set up (default: one made for this)")
    options = parser.parse_args()
    seconds: dict[str, list[tuple[float, float]]] = {"pandas": [], "batch": [], "batch, capturing": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = options.project or make_project(folder, "inference=batch")
        model, data = prepare(project, options.rows, folder)
        batch = [".venv/bin/python", "-m", "mlops", "batch", str(data), "--output", name, "--overwrite", "--json"]
        usual = [".venv-dev/bin/python", "-c", USUAL, str(model), str(data), str(folder / "usual")]
        for number in range(options.rounds + 1):
            for kind, measured in seconds.items():
                set_monitoring(project, on=kind == "batch, capturing")
                path = str(model.parent / "code") if kind == "pandas" else ""
                whole, result = run(usual if kind == "pandas" else batch, project, PYTHONPATH=path)
                if number:  # the first round warms the caches
                    measured.append((result["seconds"], whole))
        apart = difference(folder / "visits.csv.out", folder / "usual")
    if apart > 1e-6:
        sys.exit(f"The predictions differ by {apart}.")
    print(f"{options.rows} rows            work             whole process")
    for kind, measured in seconds.items():
        print(f"{kind:<18}", *(column(measured, seconds["pandas"], position) for position in (0, 1)))


def set_monitoring(project: Path, *, on: bool) -> None:
    """Answer the question that decides whether predictions are captured."""
    path = project / "project.yaml"
    said, answer = ('"off"', '"on"') if on else ('"on"', '"off"')
    path.write_text(path.read_text().replace(f"monitoring: {said}", f"monitoring: {answer}"))


def column(ours: list[tuple[float, float]], usual: list[tuple[float, float]], position: int) -> str:
    """The median time, and the median of how many times faster than the usual style."""
    times = statistics.median(measured[position] for measured in ours)
    ratio = statistics.median(other[position] / own[position] for other, own in zip(usual, ours, strict=True))
    return f"{1000 * times:7.0f} ms {ratio:5.2f} x"


if __name__ == "__main__":
    main()
