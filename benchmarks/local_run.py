"""How long a local run takes beside the same scripts run by hand, in the same order and as parallel."""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
COLD_GOAL, CACHED_GOAL = 1.3, 0.5


def make_project(folder: Path, *answers: str) -> Path:
    """Render a project, the default one but for some answers (`name=value`), and set it up."""
    tools = ROOT / ".tools/bin"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "template")], check=True)
    given = ["--no-input", *answers, "--output-dir", str(folder)]
    command = [str(tools / "cookiecutter"), str(folder / "template"), *given]
    subprocess.run(command, check=True, capture_output=True)
    project = folder / "doctor-visits"
    subprocess.run(["make", "setup"], cwd=project, check=True, capture_output=True)
    return project


def by_hand(project: Path, data: Path, work: Path) -> float:
    """Run the step scripts of the pipeline with nothing around them; seconds."""
    config = yaml.safe_load((project / "config/base.yaml").read_text())
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{project / 'src'}:{project}", "OMP_NUM_THREADS": threads}

    def script(module: str, **arguments: object) -> None:
        options = [text for name, value in arguments.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        command = [str(project / ".venv/bin/python"), "-m", module, *options]
        subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True)

    split, model = work / "split", work / "model"
    hyperparameters = {name.replace("_", "-"): value for name, value in config["hyperparameters"].items()}
    for folder in (work / "champion", model):
        folder.mkdir(parents=True)
    started = time.perf_counter()
    limit = config["validation"]["max_null_fraction"]
    script("modelkit.jobs.validate", data=data, report=work / "report", data_version="0", max_null_fraction=limit)
    seed = config["hyperparameters"]["seed"]
    script("modelkit.jobs.preprocess", data=data, output=split, seed=seed, host="algo-1", **config["split"])
    with ThreadPoolExecutor() as pool:
        beside = pool.submit(script, "modelkit.jobs.baseline", data=split / "train", output=work / "baseline")
        script(
            "modelkit.jobs.train",
            train=split / "train",
            validation=split / "validation",
            model_dir=model,
            **hyperparameters,
        )
        script(
            "modelkit.jobs.evaluate", model=model, test=split / "test", champion=work / "champion", champion_arn="none",
            output=work / "evaluation",
        )  # fmt: skip
        beside.result()
    return time.perf_counter() - started


def pipeline(project: Path, data: Path, *options: str) -> float:
    """Run the pipeline as its user does; seconds."""
    command = [str(project / ".venv/bin/python"), "-m", "mlops", "run", "--data", str(data), *options]
    started = time.perf_counter()
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure in interleaved rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, help="rows of synthetic data instead of the sample")
    options = parser.parse_args()
    # `make` sets it for the template's sources. A project's user keeps bytecode, as the scripts run by hand do here.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    hand, cold, cached, compiled = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder)
        data = project / "data/raw"
        if options.rows:
            data = folder / "data"
            data.mkdir()
            subprocess.run(
                [project / ".venv/bin/python", "-m", "modelkit.synthetic", "--rows", str(options.rows), "--seed", "1",
                 "--output", data / "visits.csv"],
                cwd=project, env={"PYTHONPATH": str(project / "src")}, check=True,
            )  # fmt: skip
        for number in range(options.rounds + 1):
            shutil.rmtree(project / ".mlops", ignore_errors=True)
            first = pipeline(project, data)
            shutil.rmtree(folder / "by-hand", ignore_errors=True)
            timings = by_hand(project, data, folder / "by-hand"), pipeline(project, data, "--no-cache")
            again = pipeline(project, data)
            if number:  # the first round warms the caches
                hand.append(timings[0])
                cold.append(timings[1])
                cached.append(again)
                compiled.append(first)
    ratio = statistics.median(ours / bare for ours, bare in zip(cold, hand, strict=True))
    print(f"scripts by hand    {statistics.median(hand):6.2f} s")
    print(f"run, cold          {statistics.median(cold):6.2f} s   {ratio:.2f} x   (goal: <= {COLD_GOAL} x)")
    print(f"run, cached        {statistics.median(cached):6.2f} s            (goal: <= {CACHED_GOAL} s)")
    print(f"first run          {statistics.median(compiled):6.2f} s            (it also compiles)")


if __name__ == "__main__":
    main()
