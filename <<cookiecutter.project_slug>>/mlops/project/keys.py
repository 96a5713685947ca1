"""The keys that the results of jobs are encrypted with: `data_key` and `model_key` of the configuration.

If they are empty, the project's own keys are used: `upsert` looks up their ARNs in AWS and records them until the next
`upsert`. Aliases, although known in advance, are no alternative: SageMaker does not document them for the disks of
training jobs (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html), and policies of
organizations compare key ARNs.
"""

from pathlib import Path

from mlops.base.commands import MLOPS
from mlops.base.errors import UsageError
from mlops.base.files import write_text
from mlops.project.security import key_arn
from mlops.project.stacks import ARTIFACTS, DATA_LAKE
from mlops.project.target import Target

_MODEL_KEY = "model_key"
KEYS = {"data_key": "data", _MODEL_KEY: "model"}
"""The keys, by their name in the configuration, with the endings of their aliases."""

_HOLDERS = {"data_key": DATA_LAKE, _MODEL_KEY: ARTIFACTS}
"""The part of the project that each belongs to."""


def arn(target: Target, name: str) -> str:
    """Return the ARN of a key that the results of jobs are encrypted with.

    Args:
        target: The environment of the jobs.
        name: `data_key` or `model_key`.

    Raises:
        MlopsError: The value is not the ARN of a key, or is empty and the key has not been looked up yet.
    """
    configured = key_arn(target.settings, name)
    if configured or target.is_local:
        return configured or str(target.settings[name])
    try:
        return _memory(target, name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UsageError(
            f"{target.settings.file(name)} has no value for `{name}`, and the project's has not been looked up yet.",
            f"`{MLOPS} upsert --environment {target.environment}` looks it up. Without AWS, set the key: "
            f"`{name}: arn:aws:kms:...:key/...` in {target.settings.file(name)}.",
        ) from None


def arns(target: Target) -> dict[str, str]:
    """Return the ARN of each key that the jobs of a project use; models are only written where they are trained.

    Raises:
        MlopsError: See `arn`.
    """
    return {name: arn(target, name) for name in _used(target)}


def unnamed(target: Target) -> list[str]:
    """Return the used keys without a value in the configuration."""
    return [name for name in _used(target) if target.settings.settings.get(name) is None]


def alias(target: Target, name: str) -> str:
    """Return the alias of the project's own key for a setting; its ARN, if the key is in another account.

    Args:
        target: The environment of the jobs.
        name: `data_key` or `model_key`.

    Raises:
        MlopsError: The configuration has no account for the key.
    """
    if target.experiments:  # whose archives are results among others
        return target.names.key_alias(KEYS["data_key"])
    holder = target.own(_HOLDERS[name])
    own = target.names.key_alias(KEYS[name])
    if holder.account_name == target.account_name:
        return own
    return f"arn:aws:kms:{target.project.region}:{holder.settings['account']}:{own}"


def _used(target: Target) -> list[str]:
    trains = not (target.project.deploys_only or target.is_deployed_to)
    return [name for name in KEYS if name != _MODEL_KEY or trains]


def remember(target: Target, name: str, found: str) -> None:
    """Record the ARN of a key."""
    write_text(_memory(target, name), found + "\n")


def _memory(target: Target, name: str) -> Path:
    return target.project.state / "keys" / target.names.id / name
