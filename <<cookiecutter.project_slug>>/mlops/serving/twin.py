"""The ONNX twin of a model: created once in its folder, and used only if its predictions match the model's.

`python -m mlops.serving.twin FOLDER` creates it, in its own process since the converters are large and needed once.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlops.base import twin_file
from mlops.base.handlers import load_unpacked
from mlops.base.twin_file import TWIN_FILE

TOLERANCE = 1e-5
"""The allowed difference between a probability of the twin and of the model."""

Matrix = npt.NDArray[np.float32]
Predict = Callable[[Matrix], Matrix]


def make(folder: Path) -> None:
    """Create the twin of the model of an unpacked archive, in its folder.

    Raises:
        Exception: Anything that the model's code or the converter raises.
    """
    model = load_unpacked(folder, f"The model in {folder}").model
    graph: bytes = import_module("model.onnx_twin").to_onnx(model)
    twin_file.write(folder, graph)


def load(folder: Path, rows: Matrix, expected: Matrix) -> Predict:
    """Load the twin in a model's folder and compare it with the model.

    Args:
        folder: The folder.
        rows: The (n, f + d) matrix to compare on.
        expected: The n probabilities that the model predicts for it.

    Returns:
        A function from a matrix to probabilities.

    Raises:
        ValueError: The file was changed since it was created, or the twin differs from the model.
        Exception: Anything that ONNX Runtime raises when the file is damaged.
    """
    if not twin_file.is_intact(folder):
        raise ValueError(f"{folder / TWIN_FILE} was changed since it was created")
    predict = _session(folder / TWIN_FILE)
    difference = np.abs(predict(rows) - expected).max()
    if not difference <= TOLERANCE:
        raise ValueError(f"its probabilities differ from the model's by {difference:.3g}")
    return predict


def _session(path: Path) -> Predict:
    import onnxruntime  # an image without it can still serve the model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker has one core
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rows_name, outputs = session.get_inputs()[0].name, [session.get_outputs()[-1].name]

    def predict(rows: Matrix) -> Matrix:
        probabilities: Matrix = session.run(outputs, {rows_name: rows})[0][:, -1]
        return probabilities

    return predict


if __name__ == "__main__":
    make(Path(sys.argv[1]))
