"""What `modelkit.jobs.compare` reads, for tests."""

import json
from pathlib import Path
from typing import Any

from mlops.base.capture import SMOKE, Encoder

HOUR = "2026/01/31/23"
TIME = "2026-01-31T23:30:00Z"
WINDOW: dict[str, Any] = {
    "start": "2026-01-31T23:00:00Z",
    "end": "2999-02-01T00:00:00Z",
    "labels": None,
    "live": 1,
    "project_name": "Visits",
    "environment": "test",
}
LIMITS = {"max-distance": 0.1, "max-drifted-share": 0.3, "max-missing-increase": 0.02, "max-auc-loss": 0.05}


def write_window(folder: Path, versions: tuple[int, ...] = (1,), **changed: Any) -> Path:
    for version in versions:
        (folder / str(version)).mkdir(parents=True, exist_ok=True)
    (folder / "window.json").write_text(json.dumps(WINDOW | changed))
    return folder


def write_captured(folder: Path, *lines: bytes, version: int = 1, hour: str = HOUR, name: str = "30-00-001-a") -> Path:
    path = folder / str(version) / "endpoint/AllTraffic" / hour / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    return path


def record(body: str, answer: str | None, inference_id: str = "", time: str = TIME) -> bytes:
    """A record of a CSV request and response; None: the response is not captured."""
    document = json.loads(Encoder("text/csv", "text/csv").record(body.encode(), (answer or "").encode(), inference_id))
    document["eventMetadata"]["inferenceTime"] = time
    if answer is None:
        del document["captureData"]["endpointOutput"]
    return json.dumps(document).encode() + b"\n"


def arguments(folder: Path, **changed: Any) -> list[str]:
    """The arguments for the folders `window`, `captured`, `input`, `labels` and `output` in a folder."""
    options = {
        "window": folder / "window", "captured": folder / "captured", "ground-truth": folder / "labels",
        "batch-input": folder / "input", "batch-output": folder / "captured", "output": folder / "output",
        "min-rows": 100, "test-prefix": SMOKE, **LIMITS,
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in options.items()]
