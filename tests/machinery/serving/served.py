"""A server of these tests: small handlers, no training, a port of its own on loopback."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlops
from standin.calls import HOOK

HANDLERS = """
import os, time
from pathlib import Path
def model_fn(folder):
    factor = Path(folder, "factor").read_text()
    if factor == "hang": time.sleep(10_000)
    return float(factor)
def input_fn(body, content_type):
    words = body.decode().split()
    if not words: raise ValueError("nothing to multiply")
    if words[0] == "sleep": time.sleep(float(words.pop(1))); words[0] = "1"
    if words[0] == "crash": raise RuntimeError("a secret of the handlers")
    if words[0] == "die": os._exit(9)
    return [float(word) for word in words]
def predict_fn(data, model): return [value * model for value in data]
def output_fn(prediction, accept):
    if accept not in ("text/csv", "application/json"): raise ValueError(accept)
    return " ".join(f"{value:g}" for value in prediction)
"""
PATIENCE = 60.0
CSV = {"Content-Type": "text/csv"}


def archive(folder: Path, factor: str = "2") -> Path:
    """An unpacked model: it multiplies the numbers of a request. The words sleep, crash and die do what they say.

    With the factor `hang` it does not load.
    """
    (folder / "code").mkdir(parents=True)
    (folder / "code/inference.py").write_text(HANDLERS)
    (folder / "factor").write_text(factor)
    return folder


@dataclass
class Server:
    """A running server."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def port(self) -> int:
        return int(self.state["port"])

    def wait_for(self, **wanted: Any) -> None:
        def is_there() -> bool:
            try:
                return wanted.items() <= self.state.items()
            except FileNotFoundError:
                return self.process.poll() is not None

        until(is_there)
        assert self.process.poll() is None, self.log

    def workers(self) -> list[int]:
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        pairs = [line.split() for line in listing.splitlines()]
        return [int(pid) for pid, parent in pairs if int(parent) == self.process.pid]

    def ask(
        self, body: bytes = b"21", path: str = "/invocations", method: str = "POST", **headers: str
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, CSV | {name.replace("_", "-"): headers[name] for name in headers})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def update(self, **settings: Any) -> None:
        content = json.loads((self.folder / "settings.json").read_text()) | settings
        (self.folder / "settings.json").write_text(json.dumps(content))
        self.process.send_signal(signal.SIGUSR1)

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def captured(self) -> list[dict[str, Any]]:
        files = sorted((self.folder / "captured").rglob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@contextmanager
def serving(folder: Path, model: Path, *, descriptors: int | None = None, **settings: Any) -> Iterator[Server]:
    """A server that has begun; it need not have loaded its model.

    Args:
        folder: Where its state is kept.
        model: The folder of its model.
        descriptors: The number of file descriptors that each of its processes may have.
        **settings: Settings other than the defaults of these tests.
    """
    folder.mkdir()
    defaults = {"model": str(model), "version": 1, "deployment": "first", "host": "127.0.0.1", "port": 0, "workers": 1}
    (folder / "settings.json").write_text(json.dumps(defaults | settings))
    path = os.pathsep.join([str(HOOK), str(Path(mlops.__file__).parent.parent)])
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "mlops.serving", "--folder", str(folder)]
    if descriptors:
        command = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    server = Server(folder, process)
    try:
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)


def until(condition: Any) -> None:
    """Wait for something that will be."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
