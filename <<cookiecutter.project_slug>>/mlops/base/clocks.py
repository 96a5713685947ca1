"""Times that other clocks have recorded, or this one before it was corrected."""

from datetime import UTC, datetime, timedelta

from mlops.base.errors import MlopsError

CLOCK_TOLERANCE = timedelta(minutes=5)
"""By how much clocks may differ: AWS refuses requests that differ by more."""


def require_past(moment: datetime, what: str, remedy: str, now: datetime | None = None) -> None:
    """Reject a recorded time that is in the future.

    Args:
        moment: The time.
        what: What it is and where it is recorded, for the message ("The end of the last window in …").
        remedy: What to do if the clock of this machine is right.
        now: The current time; None for that of the clock.

    Raises:
        MlopsError: It is, by more than `CLOCK_TOLERANCE`.
    """
    current = now or datetime.now(UTC)
    if moment - current > CLOCK_TOLERANCE:
        raise MlopsError(
            f"{what} is in the future: {_utc(moment)}; the clock of this machine says {_utc(current)}.",
            f"If the clock is wrong, correct it. If it was wrong before: {remedy}",
        )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
