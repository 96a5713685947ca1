"""Answers together what arrives together: under load a call of numpy and of ONNX Runtime serves many requests."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mlops.serving.engine import LARGEST_FOR_TWIN, Engine, Rows


@dataclass(eq=False, slots=True)
class _Request:
    body: bytes
    content_type: str
    answer_type: str
    answer: "asyncio.Future[bytes]"
    rows: Rows

    def fail(self, error: Exception) -> None:
        if not self.answer.done():  # its client may have gone
            self.answer.set_exception(error)


class Batcher:
    """Collects the requests of one turn of the event loop; it waits for none that are yet to come.

    They are decoded, predicted and written in three loops: a loop stays in the CPU's caches, where one request after
    the other would not.
    """

    def __init__(self, engine: Engine) -> None:
        """Start with nothing waiting.

        Args:
            engine: Answers; it must be `in_halves`.
        """
        self._engine = engine
        self._waiting: list[_Request] = []

    async def answer(self, body: bytes, content_type: str, answer_type: str) -> bytes:
        """The answer to a request (see `Engine.answer`).

        Raises:
            Exception: Anything that this request makes the handlers raise; other requests are no concern of it.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        request = _Request(body, content_type, answer_type, loop.create_future(), [])
        self._waiting.append(request)
        return await request.answer

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
                self._answer(batch)
                batch, size = [], len(request.rows)
            batch.append(request)
        if batch:
            self._answer(batch)

    def _answer(self, batch: Sequence[_Request]) -> None:
        try:
            prediction = self._engine.predict([row for request in batch for row in request.rows])
            start = 0
            answers = []
            for request in batch:
                end = start + len(request.rows)
                answers.append(self._engine.write(prediction[start:end], request.answer_type))
                start = end
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
            else:
                for request in batch:
                    self._answer([request])
            return
        for request, answer in zip(batch, answers, strict=True):
            if not request.answer.done():
                request.answer.set_result(answer)
