"""Waiting for AWS, with a clock that tests can replace."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from mlops.base.errors import MlopsError

PATIENCE = 7.75 * 3600
"""The maximum seconds of a deployment: more than an update of infra/endpoint.yaml, less than a CodePipeline action."""

RESUME = "The operation continues in AWS. Run the same command again to wait for it and continue."
"""The remedy when waiting was interrupted."""

_PAUSE = 5

T = TypeVar("T")


class Clock(Protocol):
    """The functions of the module `time` that waiting uses."""

    def time(self) -> float:
        """Return the current time in seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


def wait(poll: Callable[[], T | None], what: str, clock: Clock, patience: float = PATIENCE, remedy: str = RESUME) -> T:
    """Poll until there is a result, and return it.

    Args:
        poll: Returns the result, or None while there is none.
        what: What takes the time, for the message.
        clock: The clock.
        patience: The maximum time to wait, in seconds.
        remedy: What to do after that time.

    Raises:
        MlopsError: There is no result within that time.
    """
    deadline = clock.time() + patience
    while (result := poll()) is None:
        if clock.time() >= deadline:
            raise MlopsError(f"{what} is not complete after {patience / 60:g} minutes.", remedy)
        clock.sleep(_PAUSE)
    return result
