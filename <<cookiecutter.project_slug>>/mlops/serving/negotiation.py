"""What a request is written in and what its answer is to be written in, from the headers of the request."""

from collections.abc import Callable
from dataclasses import dataclass

from mlops.base.capture import Encoder

MEDIA_TYPES = ("text/csv", "application/json", "application/jsonlines", "application/x-ndjson")
"""What the handlers of this project read and write; those of a model may know others."""

_CHARSETS = ("utf-8", "utf8", "us-ascii")
_REMEMBERED = 256


class RefusalError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        reason: What is wrong, for the client.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(frozen=True)
class Exchange:
    """The two media types of a request and its answer.

    Attributes:
        content_type: Of the request, without parameters.
        answer_type: Of the answer.
        header: The answer's Content-Type header.
        encoder: Writes the record of both.
    """

    content_type: str
    answer_type: str
    header: tuple[bytes, bytes]
    encoder: Encoder


class Negotiator:
    """Agrees on media types; the same headers are read once, since clients send the same ones again and again."""

    def __init__(self, answers: Callable[[str], bool]) -> None:
        """Start with nothing agreed on.

        Args:
            answers: Whether the model's handlers write a media type.
        """
        self._answers = answers
        self._agreed: dict[tuple[bytes, bytes], Exchange] = {}

    def agree(self, content_type: bytes, accept: bytes) -> Exchange:
        """Choose the media types from the headers Content-Type and Accept as received.

        Raises:
            RefusalError: 415 for another charset than UTF-8 or no type at all; 406 when nothing that the client
                accepts is written.
        """
        agreed = self._agreed.get((content_type, accept))
        if agreed is None:
            request_type = _request_type(content_type.decode("latin-1"))
            answer_type = self._answer_type(accept.decode("latin-1"), request_type)
            header = (b"content-type", answer_type.encode("latin-1"))
            agreed = Exchange(request_type, answer_type, header, Encoder(request_type, answer_type))
            if len(self._agreed) < _REMEMBERED:
                self._agreed[content_type, accept] = agreed
        return agreed

    def _answer_type(self, accept: str, request_type: str) -> str:
        for media_range in _by_preference(accept):
            for media_type in _covered(media_range, request_type):
                if self._answers(media_type):
                    return media_type
        raise RefusalError(406, f"nothing of '{accept:.100}' can be answered; accept one of {', '.join(MEDIA_TYPES)}")


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
    """The media ranges of an Accept header, best first (RFC 9110, section 12.5.1); those of weight 0 are left out."""
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
    """The media types that a range covers, the request's own first."""
    kind, _, subtype = media_range.partition("/")
    if subtype != "*":
        return [media_range]
    return [known for known in (request_type, *MEDIA_TYPES) if kind in ("*", known.partition("/")[0])]
