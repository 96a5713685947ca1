"""The project's own image: which build the jobs and endpoints of an environment use.

`image_digest` of an environment is a digest or `newest`. `upsert` looks up the newest image in AWS and records its
digest, which is used until the next `upsert`.
"""

import re
from pathlib import Path

from mlops.base.commands import MLOPS
from mlops.base.errors import MlopsError, UsageError
from mlops.base.files import write_text
from mlops.project.target import Target

KEY = "image_digest"
NEWEST = "newest"

is_digest = re.compile(r"sha256:[0-9a-f]{64}").fullmatch
"""Whether a text is the digest of an image."""


def digest(target: Target) -> str | None:
    """Return the digest of the image that an environment's jobs use; None for AWS's image.

    Raises:
        MlopsError: The configuration has no digest, or the newest one, which has not been looked up yet.
    """
    if not has_own(target):
        return None
    wanted = str(target.settings[KEY])
    if wanted == NEWEST:
        return _remembered(target)
    if not is_digest(wanted):
        raise UsageError(
            f"{target.settings.file(KEY)} has an invalid value: `{KEY}: {wanted}`.",
            f"Use `{NEWEST}`, or sha256: and the 64 hexadecimal digits of an image.",
        )
    return wanted


def uri(target: Target) -> str | None:
    """Return the URI of the image that an environment's jobs use; None for AWS's image.

    Raises:
        MlopsError: See `digest`.
    """
    used = digest(configured_in(target))
    registry = f"{target.registry.settings['account']}.dkr.ecr.{target.project.region}.amazonaws.com"
    return f"{registry}/{target.project.slug}@{used}" if used else None


def configured_in(target: Target) -> Target:
    """Return the environment whose configuration says which image an environment's jobs use."""
    return target if target.experiments else target.registry


def takes_newest(target: Target) -> bool:
    """Return whether an environment uses the newest image."""
    return has_own(target) and target.settings[KEY] == NEWEST


def remember(target: Target, found: str) -> None:
    """Record the newest image.

    Args:
        target: The environment.
        found: The digest that was looked up.

    Raises:
        MlopsError: It is not a digest: no image has been built yet.
    """
    if not is_digest(found):
        raise MlopsError(
            f"{target.settings.file(KEY)} sets `{KEY}: {NEWEST}`, but no image has been built yet.",
            f"`{MLOPS} deploy --environment dev --stack image` creates the pipeline that builds it. "
            f"If it exists, see why no build succeeded: CodePipeline {target.names.image_pipeline}.",
        )
    write_text(_memory(target), found + "\n")


def has_own(target: Target) -> bool:
    """Return whether the project builds an image for its jobs; one that only deploys does not."""
    return target.project.answer("training_image") == "custom" and not target.project.deploys_only


def _memory(target: Target) -> Path:
    return target.project.state / "image" / target.environment


def _remembered(target: Target) -> str:
    try:
        return _memory(target).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise UsageError(
            f"{target.settings.file(KEY)} sets `{KEY}: {NEWEST}`, but the newest image has not been looked up yet.",
            f"`{MLOPS} upsert --environment {target.environment}` looks it up. Without AWS, set a digest: "
            f"`{KEY}: sha256:...` in {target.settings.file(KEY)}.",
        ) from None
