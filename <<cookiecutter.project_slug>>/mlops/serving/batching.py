"""Dynamic batching: requests that arrive in one turn of the event loop share calls of numpy and ONNX Runtime."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlops.serving.engine import LARGEST_FOR_TWIN, Engine, Rows


@dataclass(eq=False, slots=True)
class _Request:
    body: bytes
    content_type: str
    response_type: str
    response: "asyncio.Future[bytes]"
    rows: Rows

    def fail(self, error: Exception) -> None:
        if not self.response.done():  # its client may have disconnected
            self.response.set_exception(error)


class Batcher:
    """Batches the requests of one turn of the event loop, without waiting for more.

    They are decoded, predicted and written in three loops, which use the CPU's caches better than one request after
    another.
    """

    def __init__(self, engine: Engine, observe: Callable[[int], None] = lambda _: None) -> None:
        """Create a batcher.

        Args:
            engine: The model; it must be `in_halves`.
            observe: Called with the number of requests in each batch.
        """
        self._engine = engine
        self._observe = observe
        self._waiting: list[_Request] = []

    async def respond(self, body: bytes, content_type: str, response_type: str) -> bytes:
        """Return the response to a request (see `Engine.respond`).

        Raises:
            Exception: Anything that the handlers raise for this request; other requests do not affect it.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        request = _Request(body, content_type, response_type, loop.create_future(), [])
        self._waiting.append(request)
        return await request.response

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        batch: list[_Request] = []
        size = 0
        for request in waiting:
            try:
                request.rows = self._engine.decode(request.body, request.content_type)
            except Exception as error:
                request.fail(error)
                continue
            size += len(request.rows)
            if batch and size > LARGEST_FOR_TWIN:
                self._respond(batch)
                batch, size = [], len(request.rows)
            batch.append(request)
        if batch:
            self._respond(batch)

    def _respond(self, batch: Sequence[_Request]) -> None:
        try:
            prediction = self._engine.predict([row for request in batch for row in request.rows])
            start = 0
            responses = []
            for request in batch:
                end = start + len(request.rows)
                responses.append(self._engine.write(prediction[start:end], request.response_type))
                start = end
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                for request in batch:
                    self._respond([request])
            return
        self._observe(len(batch))
        for request, response in zip(batch, responses, strict=True):
            if not request.response.done():
                request.response.set_result(response)
