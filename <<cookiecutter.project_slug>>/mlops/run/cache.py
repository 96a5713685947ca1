"""Cached results of steps, so that a step with the same request need not run again.

The key is computed as SageMaker does: from the attributes of the request that AWS lists for the step's type (image,
command, environment, hyperparameters, input URIs), never from the content of the inputs. A step that must run again
when its data changes therefore takes the version of the data as an argument.
Source: "Default cache key attributes by pipeline step type" in the Amazon SageMaker developer guide.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.base.clocks import CLOCK_TOLERANCE
from mlops.base.documents import read_document
from mlops.base.errors import MlopsError
from mlops.base.files import write_json
from mlops.pipeline.definition import Step
from mlops.pipeline.durations import lifetime
from mlops.run.state import Properties
from mlops.store.local import LocalStore

KEY_ATTRIBUTES = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification",
        "CheckpointConfig",
        "DebugHookConfig",
        "DebugRuleConfigurations",
        "Environment",
        "HyperParameters",
        "InputDataConfig",
    ),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput", "TransformResources"),
}


@dataclass(frozen=True)
class _Entry:
    """The content of a file: when a step succeeded, and its properties."""

    time: datetime
    properties: Properties


@dataclass(frozen=True)
class StepCache:
    """The cache of one project.

    Attributes:
        folder: The folder of the entries.
        store: The object store of their results.
    """

    folder: Path
    store: LocalStore

    def key(self, pipeline: str, step: Step, arguments: dict[str, Any]) -> str | None:
        """Return the cache key of a step with resolved arguments; None if its cache is not enabled."""
        if step.type not in KEY_ATTRIBUTES or not step.request.get("CacheConfig", {}).get("Enabled"):
            return None
        chosen = {name: arguments.get(name) for name in KEY_ATTRIBUTES[step.type]}
        text = json.dumps([pipeline, step.name, step.type, chosen], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, key: str, step: Step) -> dict[str, Any] | None:
        """Return the properties under a key; None if there are none, they expired, or their objects are missing."""
        try:
            entry = read_document(self.folder / f"{key}.json", _Entry, "A cache entry", "")
            properties = dict(entry.properties)
            complete = outputs_exist(properties, self.store)
        except MlopsError:
            return None  # a missing or damaged entry is a miss: the step runs and replaces it
        age, expire_after = datetime.now(UTC) - entry.time, step.request["CacheConfig"].get("ExpireAfter")
        # An entry of the future is of a clock that was ahead: it would expire too late.
        expired = expire_after and not -CLOCK_TOLERANCE <= age <= lifetime(expire_after)
        return properties if complete and not expired else None

    def put(self, key: str, properties: dict[str, Any]) -> None:
        """Keep the properties of a step that succeeded."""
        write_json(self.folder / f"{key}.json", {"time": datetime.now(UTC).isoformat(), "properties": properties})


def outputs_exist(properties: dict[str, Any], store: LocalStore) -> bool:
    """Return whether all outputs in a step's properties are still in the store."""
    outputs = properties.get("ProcessingOutputConfig", {}).get("Outputs", {})
    uris = [output["S3Output"]["S3Uri"] for output in outputs.values()]
    model = properties.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    return all(store.exists(uri) for uri in ([*uris, model] if model else uris))
