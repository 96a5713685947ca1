"""The project's own image: which build of it the jobs and endpoints of an environment use.

`image_digest` of an environment names one, or says `newest`. Only AWS knows which one that is: `upsert`
asks, and until it asks again everything uses its answer.
"""

import re
from pathlib import Path

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import write_text
from mlops.project.target import Target

KEY = "image_digest"
NEWEST = "newest"

_is_digest = re.compile(r"sha256:[0-9a-f]{64}").fullmatch


def digest(target: Target) -> str | None:
    """The digest of the image that an environment uses; None in a project that uses AWS's images.

    Raises:
        MlopsError: The configuration names none, or the newest one, which nobody has looked up yet.
    """
    if target.project.answer("training_image") != "custom":
        return None
    wanted = str(target.settings[KEY])
    if wanted == NEWEST:
        return _remembered(target)
    if not _is_digest(wanted):
        raise UsageError(
            f"{target.settings.file(KEY)} says `{KEY}: {wanted}`.",
            f"It takes `{NEWEST}`, or sha256: and the 64 hexadecimal digits of an image.",
        )
    return wanted


def uri(target: Target) -> str | None:
    """The URI of the image that an environment uses; None in a project that uses AWS's images.

    Raises:
        MlopsError: See `digest`.
    """
    used = digest(target)
    registry = f"{target.settings['account']}.dkr.ecr.{target.project.region}.amazonaws.com"
    return f"{registry}/{target.project.slug}@{used}" if used else None


def takes_newest(target: Target) -> bool:
    """Whether an environment uses whatever image is the newest."""
    return target.project.answer("training_image") == "custom" and target.settings[KEY] == NEWEST


def remember(target: Target, found: str) -> None:
    """Use an image as the newest one from now on.

    Args:
        target: Where.
        found: What the account says is the newest image's digest.

    Raises:
        MlopsError: It is no digest: no image has been built yet.
    """
    if not _is_digest(found):
        raise MlopsError(
            f"{target.settings.file(KEY)} says `{KEY}: {NEWEST}`, and no image has been built yet.",
            f"`{MLOPS} deploy --environment dev --stack image` makes the pipeline that builds it. "
            f"If that is there, see why it has not: the CodePipeline {target.names.image_pipeline}.",
        )
    write_text(_memory(target), found + "\n")


def _memory(target: Target) -> Path:
    return target.project.state / "image" / target.environment


def _remembered(target: Target) -> str:
    try:
        return _memory(target).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UsageError(
            f"{target.settings.file(KEY)} says `{KEY}: {NEWEST}`, and which image that is has not been looked up yet.",
            f"`{MLOPS} upsert --environment {target.environment}` asks AWS. Without it, name an image: "
            f"`{KEY}: sha256:...` in {target.settings.file(KEY)}.",
        ) from None
