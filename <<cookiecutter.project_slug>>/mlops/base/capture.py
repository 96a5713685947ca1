"""Captured requests and answers, as SageMaker's endpoint data capture writes them: the one place that does.

A record is a line of JSON; an object holds the records that one process wrote within an hour. Objects stand below a
prefix for each model version, so that monitoring compares the traffic of a version with the baseline of that version:
`<slug>/capture/<version>/<endpoint>/<variant>/<yyyy>/<mm>/<dd>/<hh>/<mm>-<ss>-<ms>-<uuid>.jsonl`, all times UTC.
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
"""The production variant that a local endpoint has."""

SMOKE = "mlops-smoke-"
"""What the inference ids of the requests of `smoke` begin with: nobody asked them, so monitoring leaves them out."""

_EVENT = str(uuid.uuid4())[:24]
_events = itertools.count()


def root(bucket: str, slug: str) -> str:
    """The S3 URI that everything captured stands below, in a folder for each version of the model."""
    return f"s3://{bucket}/{slug}/capture"


def prefix(bucket: str, slug: str, version: int, endpoint: str) -> str:
    """The S3 URI that the objects of one version at one endpoint stand below."""
    return f"{root(bucket, slug)}/{version}/{endpoint}/{VARIANT}"


def object_name(moment: datetime) -> str:
    """The name, below its prefix, of an object that begins at `moment` (UTC)."""
    return f"{moment:%Y/%m/%d/%H/%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"


class Encoder:
    """Encodes requests of one content type and their answers of another.

    What these records have in common is written once: a server encodes a record for each request.
    """

    def __init__(self, content_type: str, answer_type: str) -> None:
        (self._request, encoding), (self._answer, answer_encoding) = _data(content_type), _data(answer_type)
        self._start = f'{{"captureData":{{"endpointInput":{_head(content_type, "INPUT")}'
        self._middle = f',"encoding":"{encoding}"}},"endpointOutput":{_head(answer_type, "OUTPUT")}'
        self._end = f',"encoding":"{answer_encoding}"}}}},"eventMetadata":{{"eventId":"{_EVENT}'

    def record(self, request: bytes, answer: bytes, inference_id: str = "", attributes: str = "") -> bytes:
        """One record: a line with its newline.

        Args:
            request: The body of the request.
            answer: The body of the answer.
            inference_id: What the caller named the request (X-Amzn-SageMaker-Inference-Id): labels that come later
                are joined by it.
            attributes: What the caller said of it (X-Amzn-SageMaker-Custom-Attributes).
        """
        said = f',"inferenceId":{quoted(inference_id)}' if inference_id else ""
        if attributes:
            said += f',"customAttributes":[{quoted(attributes)}]'
        return (
            f"{self._start}{self._request(request)}{self._middle}{self._answer(answer)}{self._end}{next(_events):012x}"
            f'"{said},"inferenceTime":"{_timestamp(int(time.time()))}"}},"eventVersion":"0"}}\n'
        ).encode()


def _head(content_type: str, mode: str) -> str:
    return f'{{"observedContentType":{quoted(content_type)},"mode":"{mode}","data":'


def _data(content_type: str) -> tuple[Callable[[bytes], str], str]:
    """How a body of a content type is written as a JSON text, and what that encoding is called."""
    for word in ("CSV", "JSON"):
        if word.lower() in content_type:
            return _as_text, word
    return _as_base64, "BASE64"


def _as_text(body: bytes) -> str:
    return quoted(body.decode(errors="replace"))


def _as_base64(body: bytes) -> str:
    return quoted(base64.b64encode(body).decode())


@lru_cache(maxsize=2)
def _timestamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
