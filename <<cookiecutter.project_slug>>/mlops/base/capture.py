"""Captured requests and responses, in the format of SageMaker's endpoint data capture.

A record is a line of JSON; an object contains the records that one process wrote within an hour. Each model version has
its own prefix, so that monitoring compares its traffic with its own baseline:
`<slug>/capture/<version>/<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>/<mm>-<ss>-<ms>-<uuid>.jsonl`, all times UTC. Where
the function behind the HTTP API captures, objects are below the same prefix; their names differ, and they may begin up
to a minute before the hour of their last record.
"""

import base64
import itertools
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from json.encoder import encode_basestring as quoted

VARIANT = "AllTraffic"
"""The production variant of endpoints."""

SMOKE = "mlops-smoke-"
"""The prefix of the inference ids of `smoke`'s requests, which monitoring excludes."""

_LINE_END, _ESCAPED = b"\n", b"\\n"
_PLAIN = bytes({*range(32, 127)} - {*b'"\\'}) + _LINE_END
"""The characters that JSON escapes alike or not at all."""

_EVENT = str(uuid.uuid4())[:24]
_events = itertools.count()


def root(bucket: str, slug: str) -> str:
    """Return the S3 prefix of all captured data; it has a folder for each model version."""
    return f"s3://{bucket}/{slug}/capture"


def prefix(bucket: str, slug: str, version: int, endpoint: str) -> str:
    """Return the S3 prefix of the objects of one version at one endpoint."""
    return f"{root(bucket, slug)}/{version}/{endpoint}/{VARIANT}"


def object_name(moment: datetime) -> str:
    """Return the name, below its prefix, of an object that begins at `moment` (UTC)."""
    return f"{moment:%Y/%m/%d/%H/%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"


class Encoder:
    """Encodes requests of one content type and responses of another.

    The common parts of records are encoded once, because a server encodes a record for each request.
    """

    def __init__(self, content_type: str, response_type: str) -> None:
        (self._request, encoding), (self._response, response_encoding) = _data(content_type), _data(response_type)
        self._start = f'{{"captureData":{{"endpointInput":{_head(content_type, "INPUT")}'
        self._middle = f',"encoding":"{encoding}"}},"endpointOutput":{_head(response_type, "OUTPUT")}'
        self._end = f',"encoding":"{response_encoding}"}}}},"eventMetadata":{{"eventId":"{_EVENT}'

    def record(self, request: bytes, response: bytes, inference_id: str = "", attributes: str = "") -> bytes:
        """Return one record: a line with its newline.

        Args:
            request: The body of the request.
            response: The body of the response.
            inference_id: The caller's X-Amzn-SageMaker-Inference-Id, by which later labels are joined.
            attributes: The caller's X-Amzn-SageMaker-Custom-Attributes.
        """
        fields = f',"inferenceId":{quoted(inference_id)}' if inference_id else ""
        if attributes:
            fields += f',"customAttributes":[{quoted(attributes)}]'
        return (
            f"{self._start}{self._request(request)}{self._middle}{self._response(response)}{self._end}{next(_events):012x}"
            f'"{fields},"inferenceTime":"{_timestamp(int(time.time()))}"}},"eventVersion":"0"}}\n'
        ).encode()


def _head(content_type: str, mode: str) -> str:
    return f'{{"observedContentType":{quoted(content_type)},"mode":"{mode}","data":'


def _data(content_type: str) -> tuple[Callable[[bytes], str], str]:
    """Return the function that encodes a body of a content type as a JSON string, and the name of that encoding."""
    for word in ("CSV", "JSON"):
        if word.lower() in content_type:
            return _as_text, word
    return _as_base64, "BASE64"


def _as_text(body: bytes) -> str:
    if not body.translate(None, _PLAIN):  # four times as fast, for bodies of many rows
        return f'"{body.replace(_LINE_END, _ESCAPED).decode()}"'
    return quoted(body.decode(errors="replace"))


def _as_base64(body: bytes) -> str:
    return quoted(base64.b64encode(body).decode())


@lru_cache(maxsize=2)
def _timestamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
