"""The application: SageMaker's container contract (`GET /ping`, `POST /invocations`) as raw ASGI.

`GET /metrics` returns the counts of all workers; with detailed observability, SageMaker requests them every minute.
"""

import asyncio
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlops.serving.batching import Batcher
from mlops.serving.engine import Engine
from mlops.serving.metrics import MEDIA_TYPE, Metrics
from mlops.serving.negotiation import MEDIA_TYPES, Exchange, Negotiator, RefusalError
from mlops.serving.recorder import Recorder

OFF_LOOP_BYTES = 32 * 1024
"""A larger body is processed in a thread, so that neither /ping nor small requests wait for it.

So are all requests to handlers that have no separate decoding: they may be slow.
"""

_METHODS = {"/ping": "GET", "/invocations": "POST", "/metrics": "GET"}
_JSON = (b"content-type", b"application/json")
_PROMETHEUS = (b"content-type", MEDIA_TYPE.encode())
_UNCOUNTED = ("/ping", "/metrics")
"""The paths that are requested by the platform, not by callers."""

_log = logging.getLogger(__name__)

_Headers = Mapping[bytes, bytes]
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """The ASGI application of one model.

    Attributes:
        answered: The number of requests answered with predictions.
        refused: The number of rejected requests by status.
        metrics: What is counted for `GET /metrics`.
    """

    def __init__(
        self,
        engine: Engine | str,
        largest_body: int,
        recorder: Recorder | None = None,
        share: float = 1.0,
        metrics: Metrics | None = None,
        *,
        shows_metrics: bool = True,
        largest_response: int | None = None,
    ) -> None:
        """Create the application.

        Args:
            engine: The model, or the reason why it is missing, with which every request is rejected (status 503).
            largest_body: The maximum size of a request in bytes.
            recorder: Captures answered requests; None to capture nothing.
            share: The share of answered requests to capture, 0 to 1.
            metrics: Counts the requests; None to count those of this process alone.
            shows_metrics: Whether `GET /metrics` returns the counts.
            largest_response: The maximum size of a response in bytes; None for no limit.
        """
        self.answered = 0
        self.refused: Counter[int] = Counter()
        self._engine = engine
        self.metrics = metrics or Metrics()
        self._shows_metrics = shows_metrics
        self._batcher: Batcher | None = None
        if isinstance(engine, Engine) and engine.in_halves:
            self._batcher = Batcher(engine, self.metrics.observe_batch)
        self._negotiator = Negotiator(lambda media_type: self._model().writes(media_type))
        self._largest_body = largest_body
        self._largest_response = largest_response
        self._recorder = recorder
        self._share = share
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Handle one request."""
        started = time.perf_counter_ns()
        path = scope["path"]
        try:
            if scope["method"] != _METHODS.get(path):
                raise _wrong_route(path)
            if path == "/metrics":
                await _respond(send, 200, self._exposition(), _PROMETHEUS)
                return
            engine = self._model()
            if path == "/ping":
                await _respond(send, 200, b"")
            else:
                await self._invoke(engine, dict(scope["headers"]), receive, send, started)
        except RefusalError as refusal:
            self._count(path, refusal.status, started)
            await self._refuse(refusal, send)
        except Exception as error:  # the handlers are the user's code, which may raise anything
            _log.exception(f"{type(error).__name__} in the model's code")
            self.metrics.count_model_error()
            self._count(path, 500, started)
            await self._refuse(RefusalError(500, "the model's code failed; see the server's log"), send)

    async def _invoke(self, engine: Engine, headers: _Headers, receive: _Receive, send: _Send, started: int) -> None:
        exchange = self._agree(headers)
        if int(headers.get(b"content-length", 0)) > self._largest_body:
            raise _too_large("request", self._largest_body)
        message = await receive()
        body = message["body"] if message.get("more_body") is False else await self._read_body(message, receive)
        if body is None:
            return  # the client has disconnected
        if len(body) > self._largest_body:
            raise _too_large("request", self._largest_body)
        try:
            types = exchange.content_type, exchange.response_type
            if self._batcher and len(body) <= OFF_LOOP_BYTES:
                response = await self._batcher.respond(body, *types)
            else:
                loop = asyncio.get_running_loop()
                response = await loop.run_in_executor(self._thread, engine.respond, body, *types)
        except ValueError as error:
            raise RefusalError(400 if exchange.content_type in MEDIA_TYPES else 415, str(error)) from None
        if self._largest_response is not None and len(response) > self._largest_response:
            raise _too_large("response", self._largest_response)
        self._count("/invocations", 200, started)
        await _respond(send, 200, response, exchange.header)
        self.answered += 1
        if self._recorder is not None and (self._share >= 1 or random.random() < self._share):
            self.metrics.count_record()
            name = headers.get(b"x-amzn-sagemaker-inference-id", b"").decode("latin-1")
            attributes = headers.get(b"x-amzn-sagemaker-custom-attributes", b"").decode("latin-1")
            self._recorder.add(exchange.encoder.record(body, response, name, attributes))

    def _count(self, path: str, status: int, started: int) -> None:
        if path == "/invocations":
            self.metrics.observe_invocation(time.perf_counter_ns() - started)
        if path not in _UNCOUNTED:
            self.metrics.count_response(status)

    def _exposition(self) -> bytes:
        if not self._shows_metrics:
            raise RefusalError(404, "metrics are switched off; `serving.metrics: true` in the configuration shows them")
        return self.metrics.exposition()

    def _model(self) -> Engine:
        if isinstance(self._engine, str):
            raise RefusalError(503, self._engine)
        return self._engine

    def _agree(self, headers: _Headers) -> Exchange:
        coding = headers.get(b"content-encoding", b"identity")
        if coding.lower() != b"identity":
            raise RefusalError(
                415, f"content coding '{coding.decode('latin-1'):.40}' is not supported; send the body uncompressed"
            )
        return self._negotiator.agree(headers.get(b"content-type", b""), headers.get(b"accept", b""))

    async def _read_body(self, message: Mapping[str, Any], receive: _Receive) -> bytes | None:
        """Read the complete body, starting with `message`; return None if the client disconnects."""
        chunks: list[bytes] = []
        size = 0
        while message["type"] != "http.disconnect":
            chunks.append(message["body"])
            size += len(message["body"])
            if size > self._largest_body:
                raise _too_large("request", self._largest_body)
            if not message["more_body"]:
                return b"".join(chunks)
            message = await receive()
        return None

    async def _refuse(self, refusal: RefusalError, send: _Send) -> None:
        self.refused[refusal.status] += 1
        _log.warning(f"{refusal.status}: %s", refusal.reason)
        await _respond(send, refusal.status, json.dumps({"error": refusal.reason}).encode(), _JSON, *refusal.headers)


def _too_large(what: str, limit: int) -> RefusalError:
    return RefusalError(413, f"the {what} is larger than {limit} bytes; send fewer rows at a time")


def _wrong_route(path: str) -> RefusalError:
    method = _METHODS.get(path)
    if method is None:
        return RefusalError(404, f"unknown path {path!r:.100}; available: {', '.join(_METHODS)}")
    return RefusalError(405, f"{path} only allows {method}", (b"allow", method.encode()))


async def _respond(send: _Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
