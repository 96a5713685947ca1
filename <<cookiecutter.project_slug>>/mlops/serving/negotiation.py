"""Content negotiation: the media types of a request and its response, from the request's headers."""

from collections.abc import Callable
from dataclasses import dataclass

from mlops.base.capture import Encoder

MEDIA_TYPES = ("text/csv", "application/json", "application/jsonlines", "application/x-ndjson")
"""The media types of this project's handlers; those of a model may support others."""

_CHARSETS = ("utf-8", "utf8", "us-ascii")
_CACHED = 256


class RefusalError(Exception):
    """A request is rejected.

    Attributes:
        status: The HTTP status.
        reason: The reason, for the client.
        headers: Additional headers of the response.
    """

    def __init__(self, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(frozen=True)
class Exchange:
    """The media types of a request and its response.

    Attributes:
        content_type: The media type of the request, without parameters.
        response_type: The media type of the response.
        header: The Content-Type header of the response.
        encoder: Encodes the captured record of both.
    """

    content_type: str
    response_type: str
    header: tuple[bytes, bytes]
    encoder: Encoder


class Negotiator:
    """Negotiates media types; results are cached, since clients repeat the same headers."""

    def __init__(self, writes: Callable[[str], bool]) -> None:
        """Create a negotiator.

        Args:
            writes: Returns whether the model's handlers can write a media type.
        """
        self._writes = writes
        self._agreed: dict[tuple[bytes, bytes], Exchange] = {}

    def agree(self, content_type: bytes, accept: bytes) -> Exchange:
        """Choose the media types from the Content-Type and Accept headers.

        Raises:
            RefusalError: 415 for a charset other than UTF-8 or a missing type; 406 if the model supports no type that
                the client accepts.
        """
        agreed = self._agreed.get((content_type, accept))
        if agreed is None:
            request_type = _request_type(content_type.decode("latin-1"))
            response_type = self._response_type(accept.decode("latin-1"), request_type)
            header = (b"content-type", response_type.encode("latin-1"))
            agreed = Exchange(request_type, response_type, header, Encoder(request_type, response_type))
            if len(self._agreed) < _CACHED:
                self._agreed[content_type, accept] = agreed
        return agreed

    def _response_type(self, accept: str, request_type: str) -> str:
        for media_range in _by_preference(accept):
            for media_type in _covered(media_range, request_type):
                if self._writes(media_type):
                    return media_type
        raise RefusalError(406, f"no type in '{accept:.100}' is supported; accept one of {', '.join(MEDIA_TYPES)}")


def _request_type(header: str) -> str:
    media_type, *parameters = (part.strip().lower() for part in header.split(";"))
    if not media_type:
        raise RefusalError(415, f"the request has no Content-Type; use one of {', '.join(MEDIA_TYPES)}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in _CHARSETS:
            raise RefusalError(415, f"charset {value.strip():.40} is not supported; use utf-8")
    return media_type


def _by_preference(accept: str) -> list[str]:
    """Return the media ranges of an Accept header, best first, without those of weight 0 (RFC 9110, section 12.5.1)."""
    weighed = []
    for element in accept.split(",") if accept.strip() else ["*/*"]:
        media_range, *parameters = (part.strip().lower() for part in element.split(";"))
        weight = next((_weight(parameter[2:]) for parameter in parameters if parameter.startswith("q=")), 1.0)
        if media_range and weight > 0:
            weighed.append((weight, media_range))
    return [media_range for _, media_range in sorted(weighed, key=lambda pair: -pair[0])]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def _covered(media_range: str, request_type: str) -> list[str]:
    """Return the media types that a range covers, the type of the request first."""
    kind, _, subtype = media_range.partition("/")
    if subtype != "*":
        return [media_range]
    return [known for known in (request_type, *MEDIA_TYPES) if kind in ("*", known.partition("/")[0])]
