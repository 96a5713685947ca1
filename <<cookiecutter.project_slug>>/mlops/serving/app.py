"""The application: SageMaker's container contract (`GET /ping`, `POST /invocations`) as raw ASGI.

SageMaker's detailed observability asks for `GET /metrics` every minute, where it is on. There are none: the workers'
counts would each be a part of the whole.
"""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlops.serving.batching import Batcher
from mlops.serving.engine import Engine
from mlops.serving.negotiation import MEDIA_TYPES, Exchange, Negotiator, RefusalError
from mlops.serving.recorder import Recorder

OFF_LOOP_BYTES = 32 * 1024
"""A body larger than this is answered in a thread, so that neither /ping nor small requests wait for it.

So is every request to handlers that cannot be called in halves: they may be slow.
"""

_METHODS = {"/ping": "GET", "/invocations": "POST", "/metrics": "GET"}
_JSON = (b"content-type", b"application/json")
_PROMETHEUS = (b"content-type", b"text/plain; version=0.0.4")
_log = logging.getLogger(__name__)

_Headers = Mapping[bytes, bytes]
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """Answers requests with one model.

    Attributes:
        answered: How many requests were answered with predictions.
        refused: How many were refused, by status.
    """

    def __init__(
        self, engine: Engine | str, largest_body: int, recorder: Recorder | None = None, share: float = 1.0
    ) -> None:
        """Make the application.

        Args:
            engine: The model, or the reason why there is none: every request is refused with it, status 503.
            largest_body: The most bytes a request may have.
            recorder: Takes answered requests; None to capture nothing.
            share: The share of the answered requests that it takes, 0 to 1.
        """
        self.answered = 0
        self.refused: Counter[int] = Counter()
        self._engine = engine
        self._batcher: Batcher | None = None
        if isinstance(engine, Engine) and engine.in_halves:
            self._batcher = Batcher(engine)
        self._negotiator = Negotiator(lambda media_type: self._model().writes(media_type))
        self._largest_body = largest_body
        self._recorder = recorder
        self._share = share
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="large-requests")

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        try:
            path = scope["path"]
            if scope["method"] != _METHODS.get(path):
                raise _wrong_route(path)
            if path == "/metrics":
                await _respond(send, 200, b"", _PROMETHEUS)
                return
            engine = self._model()
            if path == "/ping":
                await _respond(send, 200, b"")
            else:
                await self._invoke(engine, dict(scope["headers"]), receive, send)
        except RefusalError as refusal:
            await self._refuse(refusal, send)
        except Exception as error:  # the handlers are the user's code: anything may come out of them
            _log.exception(f"{type(error).__name__} in the model's code")
            await self._refuse(RefusalError(500, "the model's code failed; the server's log says how"), send)

    async def _invoke(self, engine: Engine, headers: _Headers, receive: _Receive, send: _Send) -> None:
        exchange = self._agree(headers)
        if int(headers.get(b"content-length", 0)) > self._largest_body:
            raise self._too_large()
        message = await receive()
        body = message["body"] if message.get("more_body") is False else await self._rest(message, receive)
        if body is None:
            return  # the client has gone
        if len(body) > self._largest_body:
            raise self._too_large()
        try:
            types = exchange.content_type, exchange.answer_type
            if self._batcher and len(body) <= OFF_LOOP_BYTES:
                answer = await self._batcher.answer(body, *types)
            else:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._thread, engine.answer, body, *types)
        except ValueError as error:
            raise RefusalError(400 if exchange.content_type in MEDIA_TYPES else 415, str(error)) from None
        await _respond(send, 200, answer, exchange.header)
        self.answered += 1
        if self._recorder is not None and (self._share >= 1 or random.random() < self._share):
            name = headers.get(b"x-amzn-sagemaker-inference-id", b"").decode("latin-1")
            attributes = headers.get(b"x-amzn-sagemaker-custom-attributes", b"").decode("latin-1")
            self._recorder.add(exchange.encoder.record(body, answer, name, attributes))

    def _model(self) -> Engine:
        if isinstance(self._engine, str):
            raise RefusalError(503, self._engine)
        return self._engine

    def _agree(self, headers: _Headers) -> Exchange:
        coding = headers.get(b"content-encoding", b"identity")
        if coding.lower() != b"identity":
            raise RefusalError(415, f"content coding '{coding.decode('latin-1'):.40}' is not supported; send it plain")
        return self._negotiator.agree(headers.get(b"content-type", b""), headers.get(b"accept", b""))

    async def _rest(self, message: Mapping[str, Any], receive: _Receive) -> bytes | None:
        """The whole body, of which `message` is the first part; None when the client goes away before its end."""
        chunks: list[bytes] = []
        size = 0
        while message["type"] != "http.disconnect":
            chunks.append(message["body"])
            size += len(message["body"])
            if size > self._largest_body:
                raise self._too_large()
            if not message["more_body"]:
                return b"".join(chunks)
            message = await receive()
        return None

    def _too_large(self) -> RefusalError:
        return RefusalError(413, f"the request is larger than {self._largest_body} bytes; send fewer rows at a time")

    async def _refuse(self, refusal: RefusalError, send: _Send) -> None:
        self.refused[refusal.status] += 1
        _log.warning(f"{refusal.status}: %s", refusal.reason)
        await _respond(send, refusal.status, json.dumps({"error": refusal.reason}).encode(), _JSON, *refusal.headers)


def _wrong_route(path: str) -> RefusalError:
    method = _METHODS.get(path)
    if method is None:
        return RefusalError(404, f"there is nothing at {path!r:.100}; there are {', '.join(_METHODS)}")
    return RefusalError(405, f"{path} takes {method}", (b"allow", method.encode()))


async def _respond(send: _Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
