"""The largest requests and responses, by what carries them, as AWS documented them in November 2026."""

from dataclasses import dataclass

MEGABYTE = 1024 * 1024
"""Bytes: AWS writes 6 MB as 6291456 bytes, in the API reference of InvokeEndpoint and in the quotas of Lambda."""

_GUIDE = "https://docs.aws.amazon.com/sagemaker/latest/dg"


@dataclass(frozen=True)
class Payload:
    """What one service takes and returns.

    Attributes:
        what: The service, as a message names it.
        request: The largest request in megabytes.
        response: The largest response in megabytes; None if it is not documented.
        source: The page with these numbers.
    """

    what: str
    request: int
    response: int | None
    source: str

    @property
    def request_bytes(self) -> int:
        """The largest request in bytes."""
        return self.request * MEGABYTE


# The API reference of InvokeEndpoint still has 6 MB, for requests and responses; the FAQ is newer.
REALTIME = Payload("a real-time endpoint", 25, None, f"{_GUIDE}/hosting-faqs.html")
SERVERLESS = Payload("a serverless endpoint", 4, 4, f"{_GUIDE}/serverless-endpoints-invoke.html")
ASYNC = Payload("an asynchronous endpoint", 1024, None, f"{_GUIDE}/async-inference.html")

ENDPOINTS = {"realtime": REALTIME, "serverless": SERVERLESS, "async": ASYNC}
"""The limits by the answer to `inference`; `batch` has no endpoint."""

LAMBDA = 6
"""Megabytes of the event of a function that is invoked synchronously, and of what it returns.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

TRANSFORM_DEFAULT, TRANSFORM_LARGEST = 6, 100
"""Megabytes of MaxPayloadInMB, if it is not given and at most; MaxConcurrentTransforms times it is also at most 100.

0 means no limit: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html.
"""
