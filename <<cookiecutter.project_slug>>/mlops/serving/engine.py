"""The model in the server: the handlers that it was registered with, and its ONNX twin for small requests."""

import logging
from pathlib import Path

import numpy as np

from mlops.base.errors import MlopsError
from mlops.base.handlers import Handlers, load_unpacked
from mlops.base.twin_file import TWIN_FILE
from mlops.serving import probes, twin
from mlops.serving.twin import Matrix, Predict

LARGEST_FOR_TWIN = 100
"""The largest number of rows for the ONNX twin; larger requests use the native model.

For one row, ONNX Runtime takes 5 us and XGBoost 95 us; for 10 000 rows, 28 ms and 7 ms. With 80 trees of depth 4 and
one thread, they are equally fast at 80 to 300 rows, depending on the machine.
"""

Rows = list[list[float]]
_log = logging.getLogger(__name__)


class Engine:
    """A loaded model.

    Attributes:
        in_halves: Whether requests can be decoded separately and predicted together (`decode`, `predict`, `write`).
    """

    def __init__(self, handlers: Handlers, *, in_halves: bool = False, small: Predict | None = None) -> None:
        """Create an engine.

        Args:
            handlers: The handlers of the model.
            in_halves: Whether decode_fn and assemble_fn together are equivalent to input_fn.
            small: Predicts small requests instead of the handlers; None to use the handlers for all.
        """
        self.in_halves = in_halves
        self._handlers = handlers
        self._small = small

    def respond(self, body: bytes, content_type: str, response_type: str) -> bytes:
        """Return the response to a request.

        Raises:
            ValueError: The request is malformed.
        """
        return self.write(self._predict(self._handlers.input_fn(body, content_type)), response_type)

    def decode(self, body: bytes, content_type: str) -> Rows:
        """Decode the rows of a request.

        Raises:
            ValueError: The request is malformed.
        """
        assert self._handlers.decode_fn
        rows: Rows = self._handlers.decode_fn(body, content_type)
        return rows

    def predict(self, rows: Rows) -> Matrix:
        """Predict decoded rows, of one or more requests."""
        assert self._handlers.assemble_fn
        return self._predict(self._handlers.assemble_fn(rows))

    def write(self, prediction: Matrix, response_type: str) -> bytes:
        """Write predictions in a media type.

        Raises:
            ValueError: The handlers do not support the media type.
        """
        response = self._handlers.output_fn(prediction, response_type)
        return response if isinstance(response, bytes) else response.encode()

    def writes(self, response_type: str) -> bool:
        """Return whether the handlers can write a media type."""
        try:
            self.write(np.zeros(1, np.float32), response_type)
        except ValueError:
            return False
        return True

    def _predict(self, matrix: Matrix) -> Matrix:
        if self._small is not None and len(matrix) <= LARGEST_FOR_TWIN:
            return self._small(matrix)
        try:
            prediction: Matrix = self._handlers.predict_fn(matrix, self._handlers.model)
        except ValueError as error:  # such as XGBoost's errors; the request was valid, so the client is not at fault
            raise RuntimeError(f"The model failed to predict: {error}") from error
        return prediction


def load(folder: Path) -> Engine:
    """Load the model of an unpacked archive, with the optimizations that are verified to give the same predictions.

    Raises:
        MlopsError: There is no model, or it cannot be loaded.
    """
    if not (folder / "code").is_dir():
        raise MlopsError(f"No model in {folder}: it has no folder `code`.")
    handlers = load_unpacked(folder, f"The model in {folder}")
    in_halves, small = False, None
    try:
        request = probes.request(folder)
        rows = handlers.input_fn(request, probes.CONTENT_TYPE)
        in_halves = _halves_agree(handlers, request, rows)
        if (folder / TWIN_FILE).is_file():
            small = twin.load(folder, rows, handlers.predict_fn(rows, handlers.model))
    except Exception as error:  # on any failure, the handlers alone are used
        _log.warning("optimizations are disabled: %s", error)
    return Engine(handlers, in_halves=in_halves, small=small)


def _halves_agree(handlers: Handlers, request: bytes, rows: Matrix) -> bool:
    if not handlers.decode_fn or not handlers.assemble_fn:
        return False
    together = handlers.assemble_fn(handlers.decode_fn(request, probes.CONTENT_TYPE))
    return np.array_equal(together, rows, equal_nan=True)
