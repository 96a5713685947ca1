"""The inside of a container of one of AWS's images: put the model where SageMaker does, start the server, and ask it.

Reads from standard input, as JSON, what `start` hands over; prints, as JSON, what came of it.
"""

import http.client
import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

PORT = 8080
PATIENCE = 60.0
MODEL = Path("/opt/ml/model")

Answered = tuple[int, str | None, str]


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def make_writable(folder: Path) -> None:
    """Let a folder of the system be written to, where nobody else sees it, and hide this machine's own /opt/ml."""
    beside = Path.cwd() / "system" / folder.name
    beside.mkdir(parents=True)
    mount("--rbind", str(folder), str(beside))
    mount("-t", "tmpfs", "none", str(folder))
    for entry in beside.iterdir():
        if folder / entry.name != MODEL.parent:
            (folder / entry.name).symlink_to(entry)


def place(model: Path) -> None:
    """Put the model where SageMaker does, for reading only."""
    MODEL.mkdir(parents=True)
    mount("-t", "tmpfs", "none", str(MODEL))
    shutil.copytree(model, MODEL, dirs_exist_ok=True)
    mount("-o", "remount,ro", str(MODEL))


def ask(method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> Answered:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
    try:
        connection.request(method, path, body and body.encode(errors="surrogateescape"), headers or {})
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read().decode()
    finally:
        connection.close()


def becomes_healthy(server: "subprocess.Popen[bytes]") -> bool:
    """Wait for a health check to succeed, or for the server to end."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            if ask("GET", "/ping")[0] == HTTPStatus.OK:
                return True
        time.sleep(0.05)
    return False


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    for name in ("/etc", "/opt"):
        make_writable(Path(name))
    place(Path(asked["model"]))
    server = subprocess.Popen(asked["command"], env=asked["environment"], stdout=sys.stderr)
    healthy = becomes_healthy(server)
    answers = [ask("POST", "/invocations", body, headers) for body, headers in asked["requests"] if healthy]
    print(json.dumps({"ended": server.poll(), "healthy": healthy, "answers": answers}))


if __name__ == "__main__":
    main()
