"""The project's own image: which build of it the jobs and endpoints of an environment use.

`image_digest` of an environment names one, or says `newest`. Only AWS knows which one that is: `upsert`
asks, and until it asks again everything uses its answer.
"""

import re
from pathlib import Path

from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import write_text
from mlops.project.environment import Environment
from mlops.project.project import Project

KEY = "image_digest"
NEWEST = "newest"

_is_digest = re.compile(r"sha256:[0-9a-f]{64}").fullmatch


def digest(project: Project, environment: Environment) -> str | None:
    """The digest of the image that an environment uses; None in a project that uses AWS's images.

    Raises:
        MlopsError: The configuration names none, or the newest one, which nobody has looked up yet.
    """
    if project.answer("training_image") != "custom":
        return None
    wanted = str(environment[KEY])
    if wanted == NEWEST:
        return _remembered(project, environment)
    if not _is_digest(wanted):
        raise UsageError(
            f"{environment.file(KEY)} says `{KEY}: {wanted}`.",
            f"It takes `{NEWEST}`, or sha256: and the 64 hexadecimal digits of an image.",
        )
    return wanted


def uri(project: Project, environment: Environment) -> str | None:
    """The URI of the image that an environment uses; None in a project that uses AWS's images.

    Raises:
        MlopsError: See `digest`.
    """
    used = digest(project, environment)
    registry = f"{environment['account']}.dkr.ecr.{project.region}.amazonaws.com"
    return f"{registry}/{project.slug}@{used}" if used else None


def takes_newest(project: Project, environment: Environment) -> bool:
    """Whether an environment uses whatever image is the newest."""
    return project.answer("training_image") == "custom" and environment[KEY] == NEWEST


def remember(project: Project, environment: Environment, found: str) -> None:
    """Use an image as the newest one from now on.

    Args:
        project: The project.
        environment: The environment.
        found: What the account says is the newest image's digest.

    Raises:
        MlopsError: It is no digest: no image has been built yet.
    """
    if not _is_digest(found):
        raise MlopsError(
            f"{environment.file(KEY)} says `{KEY}: {NEWEST}`, and no image has been built yet.",
            "`.venv/bin/python -m mlops deploy --environment dev --stack image` makes the pipeline that builds it. "
            f"If that is there, see why it has not: the CodePipeline {project.names(environment.name).image_pipeline}.",
        )
    write_text(_memory(project, environment), found + "\n")


def _memory(project: Project, environment: Environment) -> Path:
    return project.state / "image" / environment.name


def _remembered(project: Project, environment: Environment) -> str:
    try:
        return _memory(project, environment).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UsageError(
            f"{environment.file(KEY)} says `{KEY}: {NEWEST}`, and which image that is has not been looked up yet.",
            f"`.venv/bin/python -m mlops upsert --environment {environment.name}` asks AWS. Without it, name an image: "
            f"`{KEY}: sha256:...` in {environment.file(KEY)}.",
        ) from None
