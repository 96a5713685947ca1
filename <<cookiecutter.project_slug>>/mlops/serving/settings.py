"""The settings of a server: from a file, with the defaults of a SageMaker container."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mlops.base.documents import parse_document, read_document
from mlops.base.payloads import ASYNC, REALTIME


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        model: The folder of the unpacked model.
        version: The model's version, for messages and the state; 0 if unknown.
        deployment: The id of these settings, by which the writer of the file sees when they are in effect.
        host: The address to listen on.
        port: The port to listen on.
        workers: The number of worker processes.
        max_payload_mb: The maximum size of a request in megabytes.
        max_response_mb: The maximum size of a response in megabytes; None for no limit.
        read_timeout_seconds: How long a request may take to arrive.
        write_timeout_seconds: How long a client may take to receive a response.
        load_timeout_seconds: How long the model may take to load.
        shutdown_seconds: How long the server accepts and finishes requests when it is stopped.
        capture: The folder of captured requests; None to capture nothing.
        capture_percentage: The percentage of answered requests to capture.
        metrics: Whether `GET /metrics` returns the counts of the server.
    """

    model: Path = Path("/opt/ml/model")
    version: int = 0
    deployment: str = ""
    host: str = "0.0.0.0"
    port: int = field(default_factory=lambda: int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")))
    workers: int = field(
        default_factory=lambda: int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS", os.cpu_count() or 1))
    )
    max_payload_mb: float = field(default_factory=lambda: _max_payload_mb())
    max_response_mb: float | None = None
    read_timeout_seconds: float = 20
    write_timeout_seconds: float = 20
    load_timeout_seconds: float = 300
    shutdown_seconds: int = 20
    capture: Path | None = None
    capture_percentage: float = 100
    metrics: bool = True

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read settings from a JSON file.

        Raises:
            MlopsError: The file is missing or damaged, or has an unknown setting.
        """
        return read_document(path, cls, "The file of the server's settings", "Start the server again.")

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Parse the output of `as_json`.

        Raises:
            MlopsError: The text is damaged, or has an unknown setting.
        """
        return parse_document(text, cls, "The server's settings are damaged", "Start the server again.")

    def as_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(asdict(self), default=str)


def _max_payload_mb() -> float:
    """Return what a transform job or the image sets, or else the limit of a real-time endpoint; 0 means no limit."""
    return float(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", REALTIME.request)) or ASYNC.request
