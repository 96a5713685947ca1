"""Durations in pipeline definitions."""

import re
from datetime import timedelta

from mlops.base.errors import UsageError

_DURATION = re.compile(
    r"P?(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?)?",
    re.IGNORECASE,
)
_MOST_DAYS = 36_500
_DAYS = {"years": 365.0, "months": 30.0, "weeks": 7.0, "days": 1.0, "hours": 1 / 24, "minutes": 1 / 1440}


def lifetime(expire_after: str) -> timedelta:
    """Parse an ISO 8601 duration (`P30D`, `30d`, `PT12H`); a month has 30 days, a year 365.

    Raises:
        MlopsError: The text is not such a duration, or one of more than 100 years.
    """
    match = _DURATION.fullmatch(expire_after)
    if not match or not any(match.groupdict().values()):
        raise UsageError(f"CacheConfig.ExpireAfter {expire_after!r} is not a duration such as P30D.")
    days = sum(int(value) * _DAYS[unit] for unit, value in match.groupdict().items() if value)
    if days > _MOST_DAYS:
        raise UsageError(f"CacheConfig.ExpireAfter {expire_after!r} is longer than 100 years.", "Use P30D.")
    return timedelta(days=days)
