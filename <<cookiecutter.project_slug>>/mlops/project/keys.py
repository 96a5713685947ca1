"""The keys that the results of jobs are encrypted with: `data_key` and `model_key` of the configuration.

Where they are left empty they are the project's own, which only AWS knows: `upsert` asks, and until it asks again
everything uses its answer. Their aliases would not do, although those are known before: SageMaker documents none for
the disks of training jobs (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html), and
policies of companies compare ARNs of keys.
"""

from pathlib import Path

from mlops.base.environments import LOCAL
from mlops.base.errors import UsageError
from mlops.base.files import write_text
from mlops.project.environment import Environment
from mlops.project.project import Project
from mlops.project.security import key_arn

KEYS = {"data_key": "data", "model_key": "model"}
"""The keys, by what the configuration calls them, with what the names of their aliases end in."""


def arn(project: Project, environment: Environment, name: str) -> str:
    """The ARN of a key that the results of jobs are encrypted with.

    Args:
        project: The project.
        environment: The environment.
        name: `data_key` or `model_key`.

    Raises:
        MlopsError: The configuration says no ARN of a key, or leaves the key to AWS, which nobody has asked yet.
    """
    configured = key_arn(environment, name)
    if configured or environment.name == LOCAL:
        return configured or str(environment[name])
    try:
        return _memory(project, environment, name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UsageError(
            f"{environment.file(name)} leaves `{name}` to the project's own key, which has not been looked up yet.",
            f"`.venv/bin/python -m mlops upsert --environment {environment.name}` asks AWS. Without it, name the key: "
            f"`{name}: arn:aws:kms:...:key/...` in {environment.file(name)}.",
        ) from None


def arns(project: Project, environment: Environment) -> dict[str, str]:
    """The ARN of each key of `KEYS`.

    Raises:
        MlopsError: See `arn`.
    """
    return {name: arn(project, environment, name) for name in KEYS}


def unnamed(environment: Environment) -> list[str]:
    """Those of `KEYS` that the configuration leaves to AWS."""
    return [name for name in KEYS if environment.settings.get(name) is None]


def remember(project: Project, environment: Environment, name: str, found: str) -> None:
    """Use the ARN that AWS says for a key from now on."""
    write_text(_memory(project, environment, name), found + "\n")


def _memory(project: Project, environment: Environment, name: str) -> Path:
    return project.state / "keys" / str(environment["project_id"]) / name
