"""What the configuration of an environment may say: a key that nothing reads is a misspelt one, and is refused."""

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mlops.base.errors import MlopsError, UsageError
from mlops.project.stacks import TABLE

OWN = "own"
"""The section of a project's own settings: `context["own.<key>"]` in its pipeline."""

OPEN = frozenset({OWN, "hyperparameters", "functions", *(stack.name for stack in TABLE)})
"""Sections whose keys are held to something else: the hyperparameters of the model, a definition, a template."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "account": (),
    "project_id": (),
    "bucket": (),
    "model_bucket": (),
    "pipeline_role": (),
    "data_key": (),
    "model_key": (),
    "image_digest": (),
    "data_folder": (),
    "trained_in": (),
    "processing": ("instance_type", "instance_count", "volume_size_gb", "max_runtime_seconds"),
    "training": (
        "instance_type",
        "instance_count",
        "volume_size_gb",
        "max_runtime_seconds",
        "spot",
        "max_wait_seconds",
    ),
    "security": (
        "volume_key",
        "network_isolation",
        "encrypt_inter_container_traffic",
        "subnet_ids",
        "security_group_ids",
    ),
    "validation": ("max_null_fraction",),
    "split": ("train_fraction", "validation_fraction"),
    "gate": ("min_auc", "min_auc_gain"),
    "registration": ("approval_status", "inference_instances", "transform_instances"),
    "cache": ("expire_after",),
    "monitoring": ("max_distance", "max_drifted_share", "max_missing_increase", "min_rows"),
    "retraining": ("cooldown_minutes", "runs_per_day", "failed_gates"),
    "serving": ("max_payload_mb", "read_timeout_seconds", "workers"),
    "smoke": ("max_p99_ms", "max_error_share"),
    "capture": ("percentage",),
}
"""Every other key at the top of a file, with the keys of its section, if it is one."""


def refuse_unknown(settings: Mapping[Any, Any], path: Path) -> None:
    """Refuse a configuration with a key that nothing reads.

    Args:
        settings: The content of the file.
        path: The file, for messages.

    Raises:
        MlopsError: It has such a key, and the message names the nearest one that is read; or a section is none.
    """
    for name, value in settings.items():
        if name not in KEYS and name not in OPEN:
            raise _unknown(str(name), [*KEYS, *OPEN], "", path)
        if value is not None and not isinstance(value, dict) and (name in OPEN or KEYS[name]):
            raise UsageError(
                f"{path} says `{name}: {shown(value)}`, but `{name}` is a section.",
                "Write its keys below it, indented, or leave it out.",
            )
        if name in OPEN:
            continue
        for key in value if isinstance(value, dict) else ():
            if key not in KEYS[name]:
                raise _unknown(str(key), KEYS[name], f"{name}.", path)


def shown(value: Any) -> str:
    """A value of a configuration as it is written there, for messages."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _unknown(key: str, known: Collection[str], section: str, path: Path) -> MlopsError:
    nearest = get_close_matches(key, sorted(known), n=1)
    hint = f"Did you mean `{section}{nearest[0]}`?" if nearest else "Remove it."
    return UsageError(
        f"{path} says `{section}{key}`, which nothing reads.",
        f"{hint} What only your own pipeline reads stands under `{OWN}`.",
    )
