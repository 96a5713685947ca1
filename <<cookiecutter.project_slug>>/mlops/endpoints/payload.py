"""The limits of requests and responses that hold for a project."""

from mlops.base.errors import UsageError
from mlops.base.payloads import ENDPOINTS, MEGABYTE, REALTIME, Payload
from mlops.project.target import Target

_KEY = "serving.max_payload_mb"


def payload_of(target: Target) -> Payload:
    """Return the limits of the project's kind of endpoint; a project with batch predictions has none, or real-time."""
    return ENDPOINTS.get(target.project.answer("inference"), REALTIME)


def max_payload_mb(target: Target) -> float:
    """Return the largest request on this machine in megabytes: as configured, or else what SageMaker takes.

    Raises:
        MlopsError: The value is not a number, or SageMaker would refuse such requests.
    """
    limits, settings = payload_of(target), target.settings
    if settings.missing(_KEY):
        return limits.request
    value = settings.number(_KEY)
    if value > limits.request:
        raise UsageError(
            f"`{_KEY}: {value:g}` in {settings.file(_KEY)} is too high: {limits.what} takes requests of up to "
            f"{limits.request} MB ({limits.source}).",
            f"Use at most {limits.request}, or remove the line.",
        )
    return value


def require_fits(body: bytes, what: str, megabytes: float) -> None:
    """Reject a request that is larger than what it is sent to takes.

    Args:
        body: The body of the request.
        what: What takes it, for the message.
        megabytes: The limit.

    Raises:
        UsageError: It is too large.
    """
    if len(body) > megabytes * MEGABYTE:
        raise UsageError(
            f"The request has {len(body) / MEGABYTE:.1f} MB; {what} takes up to {megabytes:g} MB.",
            "Send fewer rows at a time.",
        )
