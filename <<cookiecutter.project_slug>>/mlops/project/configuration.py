"""The files in `config/`: `base.yaml` for every environment, and one overlay per environment for what differs there.

A key that no environment reads is probably misspelt and is rejected, as is a key in the overlay of an environment that
does not read it.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.base.environments import ALL, ENVIRONMENTS, IN_AWS, LOCAL, SHARED
from mlops.base.errors import MlopsError, UsageError, did_you_mean
from mlops.project import stacks
from mlops.project.capabilities import CAPABILITIES

FOLDER = Path("config")
IMAGES = FOLDER / "images"


def file_of(name: str) -> Path:
    """Return the file of an environment, or of `base`, relative to the project."""
    return FOLDER / f"{name}.yaml"


BASE = file_of("base")

OWN = "own"
"""The section of a project's own settings: `context["own.<key>"]` in its pipeline."""

STACKS = "stacks"
"""The section with a section of template parameters for each stack."""

PLACE = ("account", "project_id", "bucket", "model_bucket", "pipeline_role", "data_key", "model_key")
"""The keys that locate an environment."""

ACCOUNT, ASSUME_ROLE = "account", "assume_role"
"""The keys with an account, and with the name of the role that callers of another account assume there."""

FURTHER_ACCOUNTS = "accounts"
"""The section with the accounts of `dev` besides its own, which is that of the training pipeline."""

DEPLOYED_BY = "deployed_by"
"""The section that says which project deploys the versions that are registered here, and in which accounts."""

_TRAINING = (LOCAL, SHARED)
_TRAINS, _DEPLOYS, _SERVES, _MONITORS = (
    {CAPABILITIES[name].question: CAPABILITIES[name].answers} for name in ("trains", "deploys", "serves", "monitors")
)
_SEVERAL_ACCOUNTS = {"account_layout": (stacks.MULTI, stacks.ORGANIZATION)}
_OF_JOBS = ("processing", "security")


@dataclass(frozen=True)
class Key:
    """A top-level key.

    Attributes:
        environments: The environments that read it.
        keys: The keys of its section; empty for a single value, None for a section that is checked elsewhere.
        when: The answers of the projects that read it, by question.
        or_when: The answers of others that read it too.
    """

    environments: tuple[str, ...]
    keys: tuple[str, ...] | None = ()
    when: Mapping[str, Collection[str]] | None = None
    or_when: Mapping[str, Collection[str]] | None = None


KEYS: Mapping[str, Key] = {
    **{name: Key(ALL) for name in PLACE},
    OWN: Key(ALL, None),
    STACKS: Key(IN_AWS, None),
    ASSUME_ROLE: Key(IN_AWS, when=_SEVERAL_ACCOUNTS),
    DEPLOYED_BY: Key(
        (SHARED,), ("project", "staging", "production"), {"project_scope": ("build-train",), **_SEVERAL_ACCOUNTS}
    ),
    FURTHER_ACCOUNTS: Key(
        (SHARED,),
        tuple(part for part in stacks.DEVELOPMENT if part != stacks.OPERATIONS),
        {"account_layout": (stacks.ORGANIZATION,)},
    ),
    "trained_in": Key((LOCAL,), when={"project_scope": ("deploy",)}),
    "image_digest": Key(_TRAINING, when={**_TRAINS, "training_image": ("custom",)}),
    "data_folder": Key(_TRAINING, when=_TRAINS),
    "functions": Key(_TRAINING, None, _TRAINS),
    "processing": Key(
        _TRAINING, ("instance_type", "instance_count", "volume_size_gb", "max_runtime_seconds"), _TRAINS, _MONITORS
    ),
    "training": Key(
        _TRAINING,
        ("instance_type", "instance_count", "volume_size_gb", "max_runtime_seconds", "spot", "max_wait_seconds"),
        _TRAINS,
    ),
    "security": Key(
        _TRAINING,
        (
            "volume_key",
            "network_isolation",
            "encrypt_inter_container_traffic",
            "subnet_ids",
            "security_group_ids",
        ),
        _TRAINS,
        _MONITORS,
    ),
    "validation": Key(_TRAINING, ("max_null_fraction",), _TRAINS),
    "split": Key(_TRAINING, ("train_fraction", "validation_fraction"), _TRAINS),
    "hyperparameters": Key(_TRAINING, None, _TRAINS),
    "gate": Key(_TRAINING, ("min_auc", "min_auc_gain"), _TRAINS),
    "registration": Key(_TRAINING, ("approval_status", "inference_instances", "transform_instances"), _TRAINS),
    "cache": Key(_TRAINING, ("expire_after",), _TRAINS),
    "monitoring": Key(
        ALL,
        (
            "max_distance",
            "max_drifted_share",
            "max_missing_increase",
            "max_auc_loss",
            "min_rows",
            "label_delay_hours",
        ),
        _MONITORS,
    ),
    "copy_captured_data": Key(ENVIRONMENTS, when={**_MONITORS, **_DEPLOYS, **_SEVERAL_ACCOUNTS}),
    "retraining": Key(_TRAINING, ("cooldown_minutes", "runs_per_day", "failed_gates"), _TRAINS),
    "serving": Key(
        _TRAINING,
        (
            "max_payload_mb",
            "metrics",
            "read_timeout_seconds",
            "write_timeout_seconds",
            "load_timeout_seconds",
            "workers",
        ),
        _SERVES,
    ),
    "smoke": Key(ALL, ("max_p99_ms", "max_error_share"), _SERVES),
    "capture": Key((LOCAL,), ("percentage",), _MONITORS),
}
"""Every top-level key."""


@dataclass(frozen=True)
class Readers:
    """Which environments of a project read which keys.

    Attributes:
        root: The project's folder.
        answer: The answer to a question, with `recommended` resolved.
    """

    root: Path
    answer: Callable[[str], str]

    def overlays(self) -> list[str]:
        """Return the names of the environments, which are those with a file."""
        return sorted(path.stem for path in (self.root / FOLDER).glob("*.yaml") if path.name != BASE.name)

    def reads(self, environment: str, name: str) -> bool:
        """Return whether an environment reads a top-level key."""
        key = KEYS.get(name)
        # Environments that a project adds are for training.
        kind = environment if environment in ALL else SHARED
        if key is None or kind not in (*key.environments, *self._monitored(name)):
            return False
        return self._applies(key.when or {}) or bool(key.or_when and self._applies(key.or_when))

    def _monitored(self, name: str) -> tuple[str, ...]:
        """Return the environments that read a key for their own monitoring pipeline: each account has one."""
        return ENVIRONMENTS if name in _OF_JOBS and self._applies({**_SEVERAL_ACCOUNTS, **_MONITORS}) else ()

    def _applies(self, when: Mapping[str, Collection[str]]) -> bool:
        return all(self.answer(question) in choices for question, choices in when.items())

    def deploys(self, environment: str) -> list[str]:
        """Return the stacks with settings in an environment: those deployed there and an external registry."""
        layout = self.answer("account_layout")
        return [
            stack.name
            for stack in stacks.TABLE
            if environment in stack.environments(layout)
            and (stack == stacks.REGISTRY or stacks.template_file(self.root, stack).is_file())
        ]

    def check(self, path: Path, settings: Mapping[Any, Any]) -> None:
        """Reject keys in an overlay that its environment does not read, or in `base.yaml` that none reads.

        Args:
            path: The file, relative to the project.
            settings: Its content.

        Raises:
            UsageError: There is such a key (the message names the nearest valid one), or a section is not a mapping.
        """
        file = _File(path, [path.stem] if path != BASE else self.overlays())

        def read(name: str) -> bool:
            return any(self.reads(one, name) for one in file.environments)

        for name, value in settings.items():
            if not read(name):
                raise file.unread(str(name), [key for key in KEYS if read(key)])
            keys = KEYS[name].keys
            if keys == ():
                continue
            file.require_section(name, value)
            if name == STACKS:
                deployed = [stack for one in file.environments for stack in self.deploys(one)]
                for stack, parameters in (value or {}).items():
                    if stack not in deployed:
                        raise file.undeployed(str(stack), dict.fromkeys(deployed))
                    file.require_section(f"{STACKS}.{stack}", parameters)
            elif keys:
                file.require_keys(name, value, keys)
            if name == FURTHER_ACCOUNTS:
                for key, one in (value or {}).items():
                    file.require_section(f"{name}.{key}", one)
                    file.require_keys(f"{name}.{key}", one, (ACCOUNT, ASSUME_ROLE))


@dataclass(frozen=True)
class _File:
    """A file of the configuration, for messages: its path, and the environments that it applies to."""

    path: Path
    environments: Collection[str]

    def require_section(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, dict):
            raise UsageError(
                f"`{name}: {shown(value)}` in {self.path} is not a section.",
                "Write its keys below it, indented, or remove it.",
            )

    def require_keys(self, name: str, section: Mapping[Any, Any] | None, keys: Collection[str]) -> None:
        for key in section or {}:
            if key not in keys:
                raise self.unread(f"{name}.{key}", [f"{name}.{one}" for one in keys])

    def unread(self, key: str, valid: Collection[str]) -> MlopsError:
        """Return the error for a key that no environment of this file reads."""
        if key in KEYS:
            elsewhere = "" if self.path == BASE else f" It is valid in: {_listed(KEYS[key].environments)}."
            hint = f"Remove it.{elsewhere}"
        elif any(key == stack.name for stack in stacks.TABLE):
            longer = " or ".join(f"`{one}`" for one in valid if one.startswith(f"{key}_"))
            asked = f"Did you mean {longer}? " if longer else ""
            hint = f"{asked}Settings of stacks are in `{STACKS}.{key}`. To convert files of 0.4.0, see the changelog."
        else:
            hint = f"{_suggestion(key, valid)} Settings that only your own code reads go under `{OWN}`."
        who = "no environment reads it" if self.path == BASE else f"{self.path.stem} does not read it"
        return UsageError(f"`{key}` in {self.path} has no effect: {who}.", hint)

    def undeployed(self, stack: str, deployed: Collection[str]) -> MlopsError:
        """Return the error for the section of a stack that no environment of this file has."""
        who = "this project" if self.path == BASE else self.path.stem
        return UsageError(
            f"`{STACKS}.{stack}` in {self.path} has no effect: {who} has no stack `{stack}`.",
            f"{_suggestion(stack, deployed)} Its stacks: {_listed(deployed) or 'none'}.",
        )


def _suggestion(key: str, valid: Collection[str]) -> str:
    return did_you_mean(key, valid).rstrip() or "Remove it."


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


def merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an environment: mappings are merged by key, other values replace those in `base`.

    An empty section replaces nothing.
    """
    result = dict(base)
    for key, value in overlay.items():
        before = base.get(key)
        if isinstance(before, dict) and (value is None or isinstance(value, dict)):
            result[key] = merged(before, value or {})
        else:
            result[key] = value
    return result


def dotted(settings: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its value, sections included: `training`, `training.instance_type`."""
    for key, value in settings.items():
        yield f"{section}{key}", value
        if isinstance(value, dict):
            yield from dotted(value, f"{section}{key}.")


def shown(value: Any) -> str:
    """Return a value as in a file, for messages."""
    return json.dumps(value, ensure_ascii=False, default=str)
