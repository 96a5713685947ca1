"""The head of a request: its limits, and the rules of HTTP/1.1 (RFC 9112) that the parser leaves to the server."""

import re
from collections.abc import Sequence
from functools import lru_cache

from mlops.serving.negotiation import RefusalError

HEAD_BYTES = 64 * 1024
"""The maximum size of a request line with its headers, and of what a chunked body contains besides its data."""

HEADERS = 100
"""The maximum number of headers."""

_CACHED = 16
_VERSIONS = ("1.1", "1.0")
_HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)

Headers = list[tuple[bytes, bytes]]


def check(version: str, url: bytes, headers: Headers, arrived: int) -> bool:
    """Check the head of a request.

    Args:
        version: The version of HTTP, as in `1.1`.
        url: The target of the request.
        headers: The headers, with names in lower case.
        arrived: The bytes in which the head arrived, with what arrived before or after it.

    Returns:
        Whether the client waits for `100 Continue` before it sends the body.

    Raises:
        RefusalError: 400, 431, 501 or 505.
    """
    if arrived > HEAD_BYTES and len(url) + sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_BYTES:
        raise too_large()
    if version not in _VERSIONS:
        raise RefusalError(505, f"HTTP/{version} is not supported; use HTTP/1.1")
    single = dict(headers)
    host = single.get(b"host")
    if len(single) < len(headers) and _count(headers, b"host") > 1:
        raise RefusalError(400, "the request has more than one Host header")
    if host is None:
        if version == "1.1":
            raise RefusalError(400, "the request has no Host header")
    elif not _is_host(host):
        raise RefusalError(400, "the Host header is not a host")
    if b"transfer-encoding" in single:
        _check_transfer_coding(version, b",".join(value for name, value in headers if name == b"transfer-encoding"))
    return b"expect" in single and version == "1.1" and single[b"expect"].lower() == b"100-continue"


def too_large() -> RefusalError:
    """Return the refusal of a head, or of the trailers or extensions of a chunked body, beyond the limits."""
    return RefusalError(
        431, f"the request's head, or its trailers, are larger than {HEAD_BYTES} bytes or have over {HEADERS} headers"
    )


def without_upgrade(method: bytes, url: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request that offers another protocol, without the offer."""
    kept = [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, url, version.encode()), *kept, b"", b""])


@lru_cache(maxsize=_CACHED)
def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


def _count(headers: Headers, wanted: bytes) -> int:
    return sum(name == wanted for name, _ in headers)


def _check_transfer_coding(version: str, value: bytes) -> None:
    codings = [coding.strip().lower() for coding in value.split(b",")]
    if version == "1.0" or codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise RefusalError(
            400, "the length of the body is unknown; send Content-Length, or the transfer coding chunked"
        )
    if len(codings) > 1:
        raise RefusalError(501, "only the transfer coding chunked is supported; send the body uncompressed")
