"""The model once more as an ONNX graph, which ONNX Runtime answers small requests with: no row waits for a framework.

The server makes it when it loads a model. No job does: AWS's images lack what this imports.
"""

import copy

import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType


def to_onnx(model: xgboost.Booster) -> bytes:
    """Return the model as a serialised ONNX graph.

    Its input is an (n, f + d) float32 matrix; the last column of its last output is the probability that the target
    is true.
    """
    plain = copy.copy(model)
    plain.feature_names = None  # the converter knows f0, f1, ... only
    graph = onnxmltools.convert_xgboost(
        plain, initial_types=[("features", FloatTensorType([None, model.num_features()]))]
    )
    return bytes(graph.SerializeToString())
