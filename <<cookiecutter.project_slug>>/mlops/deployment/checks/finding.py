"""What a check finds."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from mlops.base.errors import MlopsError


class Level(StrEnum):
    """How serious a finding is."""

    BLOCKS = "blocks"
    """A deployment fails."""

    WARNING = "warning"
    """Deployments succeed, but something else does not work, or will fail later."""

    PENDING = "pending"
    """A later step of a first deployment creates it."""

    NOT_CHECKED = "not checked"
    """It could not be looked up."""


@dataclass(frozen=True)
class Finding:
    """Something is missing.

    Attributes:
        level: How serious that is.
        what: What is missing.
        cost: The consequence of ignoring it.
        remedy: The command or the page that fixes it.
    """

    level: Level
    what: str
    cost: str
    remedy: str

    @property
    def blocks(self) -> bool:
        """Whether a deployment fails without it."""
        return self.level is Level.BLOCKS

    @classmethod
    def of(cls, error: MlopsError, level: Level, cost: str) -> "Finding":
        """Return the finding for an error."""
        return cls(level, error.message, cost, error.remedy)

    def __str__(self) -> str:
        return "\n  ".join(filter(None, (self.what, self.cost, self.remedy)))


def require(findings: Collection[Finding], place: str) -> None:
    """Refuse a deployment that would fail.

    Args:
        findings: The findings.
        place: What was checked, for the message.

    Raises:
        MlopsError: At least one finding blocks; the message lists all that do.
    """
    blocking = [finding for finding in findings if finding.blocks]
    if blocking:
        raise MlopsError(
            "\n".join([f"{place} is not ready; nothing was changed:", *map(str, blocking)]),
            "Fix this and deploy again. AWS approves quota increases within hours to days; see docs/deploying.md.",
        )
