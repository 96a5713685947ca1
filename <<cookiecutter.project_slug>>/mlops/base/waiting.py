"""Waiting for AWS, with a clock that tests can replace."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from mlops.base.errors import MlopsError

PATIENCE = 7.75 * 3600
"""Seconds that a deployment may take: longer than infra/endpoint.yaml lets an update take, shorter than CodePipeline
waits for an action."""

RESUME = "What was begun goes on in AWS: run the same command again, it waits for that and takes up from there."
"""What a reader does whose waiting was cut off."""

_PAUSE = 5

T = TypeVar("T")


class Clock(Protocol):
    """What the module `time` offers."""

    def time(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float, /) -> None:
        """Let time pass."""


def wait(look: Callable[[], T | None], what: str, clock: Clock, patience: float = PATIENCE) -> T:
    """Look again and again until there is something to see.

    Args:
        look: What to see; None for nothing yet.
        what: What is waited for, for the message.
        clock: The time.
        patience: Seconds after which waiting ends.

    Raises:
        MlopsError: There is nothing to see for so long.
    """
    deadline = clock.time() + patience
    while (seen := look()) is None:
        if clock.time() >= deadline:
            raise MlopsError(f"{what} takes longer than {patience / 60:g} minutes.", RESUME)
        clock.sleep(_PAUSE)
    return seen
