"""A project with an approved model, and its server: what the measurements of serving stand on."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_run import make_project

PATIENCE_SECONDS = 60


def prepared(project: Path | None, folder: Path) -> Path:
    """A project whose approved model stands unpacked in `.mlops/models`, with its twin.

    Args:
        project: One that is set up; None to make one.
        folder: Where to make it.
    """
    project = project or make_project(folder)
    if not list((project / ".mlops/models").glob("*/twin.onnx")):
        for arguments in (["run"], ["approve", "latest"], ["serve", "--detach"], ["serve", "--stop"]):
            subprocess.run([python(project), "-m", "mlops", *arguments], cwd=project, check=True, capture_output=True)
    return project


def python(project: Path) -> str:
    """The interpreter of a project's runtime environment."""
    return str(project / ".venv/bin/python")


def model(project: Path) -> Path:
    """The unpacked model that was served last."""
    return max((project / ".mlops/models").glob("*/twin.onnx"), key=lambda path: path.stat().st_mtime).parent


def rows(project: Path, count: int) -> list[str]:
    """Rows of the sample as requests have them: CSV without a header."""
    program = (
        "import csv, gzip, sys; from model.schema import SCHEMA\n"
        "rows = csv.DictReader(gzip.open('data/raw/visits.csv.gz', 'rt'))\n"
        "for row, _ in zip(rows, range(int(sys.argv[1]))): print(','.join(row[name] for name in SCHEMA.feature_names))"
    )
    command = [python(project), "-c", program, str(count)]
    environment = {"PYTHONPATH": str(project / "src")}
    done = subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@contextmanager
def running(command: list[str], port: int, folder: Path, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that answers /ping, ended afterwards."""
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **variables}
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server at a port says that it is well."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1):
                return
        except OSError:
            time.sleep(0.005)
    sys.exit(f"the server at port {port} does not come up")


def ours(project: Path, folder: Path, port: int, **settings: Any) -> list[str]:
    """The command of the project's server, with its settings written."""
    state = folder / f"state-{port}"
    state.mkdir()
    content = {"model": str(model(project)), "version": 1, "host": "127.0.0.1", "port": port, **settings}
    (state / "settings.json").write_text(json.dumps(content))
    return [python(project), "-m", "mlops.serving", "--folder", str(state)]


def process_tree(pid: int) -> list[int]:
    """A process and its children."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    return [pid, *(child for child, parent in pairs if parent == pid)]
