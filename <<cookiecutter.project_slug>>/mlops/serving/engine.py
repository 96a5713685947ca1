"""A model as the server uses it: the handlers it was registered with, and its ONNX twin for small requests."""

import logging
from pathlib import Path

import numpy as np

from mlops.base.errors import MlopsError
from mlops.base.handlers import Handlers, load_unpacked
from mlops.serving import probes, twin
from mlops.serving.settings import TWIN_FILE
from mlops.serving.twin import Matrix, Predict

LARGEST_FOR_TWIN = 100
"""More rows than this go to the native model.

ONNX Runtime takes 5 us for a row where XGBoost takes 95, but 28 ms for 10 000 rows against 7. With 80 trees of depth 4
and one thread the two take the same time at 80 to 300 rows, depending on the machine.
"""

Rows = list[list[float]]
_log = logging.getLogger(__name__)


class Engine:
    """A loaded model.

    Attributes:
        in_halves: Whether requests can be decoded one by one and predicted together (`decode`, `predict`, `write`).
    """

    def __init__(self, handlers: Handlers, *, in_halves: bool = False, small: Predict | None = None) -> None:
        """Put a model together.

        Args:
            handlers: Its handlers.
            in_halves: Whether its decode_fn and assemble_fn do together what its input_fn does.
            small: Predicts few rows in its place; None to leave all to the handlers.
        """
        self.in_halves = in_halves
        self._handlers = handlers
        self._small = small

    def answer(self, body: bytes, content_type: str, answer_type: str) -> bytes:
        """The answer to a request.

        Raises:
            ValueError: The request is malformed.
        """
        return self.write(self._predict(self._handlers.input_fn(body, content_type)), answer_type)

    def decode(self, body: bytes, content_type: str) -> Rows:
        """The rows of a request.

        Raises:
            ValueError: The request is malformed.
        """
        assert self._handlers.decode_fn
        rows: Rows = self._handlers.decode_fn(body, content_type)
        return rows

    def predict(self, rows: Rows) -> Matrix:
        """The predictions for decoded rows, of one request or of many."""
        assert self._handlers.assemble_fn
        return self._predict(self._handlers.assemble_fn(rows))

    def write(self, prediction: Matrix, answer_type: str) -> bytes:
        """Predictions in a media type.

        Raises:
            ValueError: The handlers do not write it.
        """
        answer = self._handlers.output_fn(prediction, answer_type)
        return answer if isinstance(answer, bytes) else answer.encode()

    def writes(self, answer_type: str) -> bool:
        """Whether the handlers write a media type."""
        try:
            self.write(np.zeros(1, np.float32), answer_type)
        except ValueError:
            return False
        return True

    def _predict(self, matrix: Matrix) -> Matrix:
        if self._small is not None and len(matrix) <= LARGEST_FOR_TWIN:
            return self._small(matrix)
        try:
            prediction: Matrix = self._handlers.predict_fn(matrix, self._handlers.model)
        except ValueError as error:  # as XGBoost's own errors are; the request has been read, so it is not at fault
            raise RuntimeError(f"The model does not predict: {error}") from error
        return prediction


def load(folder: Path) -> Engine:
    """Load the model of an unpacked archive, and of its short cuts those that prove to give the same answers.

    Raises:
        MlopsError: There is no model, or it does not load.
    """
    if not (folder / "code").is_dir():
        raise MlopsError(f"There is no model in {folder}: it has no folder `code`.")
    handlers = load_unpacked(folder, f"The model in {folder}")
    in_halves, small = False, None
    try:
        request = probes.request(folder)
        rows = handlers.input_fn(request, probes.CONTENT_TYPE)
        in_halves = _halves_agree(handlers, request, rows)
        if (folder / TWIN_FILE).is_file():
            small = twin.load(folder, rows, handlers.predict_fn(rows, handlers.model))
    except Exception as error:  # whatever it is, the handlers alone are enough
        _log.warning("requests are answered without a short cut: %s", error)
    return Engine(handlers, in_halves=in_halves, small=small)


def _halves_agree(handlers: Handlers, request: bytes, rows: Matrix) -> bool:
    if not handlers.decode_fn or not handlers.assemble_fn:
        return False
    together = handlers.assemble_fn(handlers.decode_fn(request, probes.CONTENT_TYPE))
    return np.array_equal(together, rows, equal_nan=True)
