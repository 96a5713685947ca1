"""What a server is told: by a file, and where that says nothing as SageMaker does it in a container."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlops.base.errors import MlopsError

MEGABYTE = 1024 * 1024

TWIN_FILE = "twin.onnx"
"""The ONNX twin of a model, in the model's folder."""


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    Attributes:
        model: The folder of the unpacked model.
        version: The model's version, for messages and the state; 0 where nobody said.
        deployment: Names this content of the file, so that whoever wrote it can tell when it is in force.
        host: The address to listen at.
        port: The port to listen at.
        workers: How many processes answer requests.
        max_payload_mb: The largest request, megabytes.
        read_timeout_seconds: How long a request may take to arrive.
        shutdown_seconds: How long requests under way may take when the server is told to end.
        capture: The folder that answered requests are recorded below; None to record nothing.
        capture_percentage: The percentage of the answered requests that is recorded.
    """

    model: Path = Path("/opt/ml/model")
    version: int = 0
    deployment: str = ""
    host: str = "0.0.0.0"
    port: int = field(default_factory=lambda: int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")))
    workers: int = field(
        default_factory=lambda: int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS", os.cpu_count() or 1))
    )
    max_payload_mb: float = field(default_factory=lambda: float(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "6")))
    read_timeout_seconds: float = 20
    shutdown_seconds: int = 20
    capture: Path | None = None
    capture_percentage: float = 100

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read a file that holds the settings as JSON.

        Raises:
            MlopsError: It is missing, damaged or holds what is no setting.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise MlopsError(f"Cannot read the server's settings {path}: {error}.") from None

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """The settings that `as_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        for name in ("model", "capture"):
            if values.get(name) is not None:
                values[name] = Path(values[name])
        return cls(**values)

    def as_json(self) -> str:
        """The settings as JSON."""
        return json.dumps(asdict(self), default=str)
