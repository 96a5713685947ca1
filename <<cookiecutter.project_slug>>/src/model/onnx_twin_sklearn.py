"""The model as an ONNX graph, with which ONNX Runtime predicts small requests faster than the framework.

The server creates the graph when it loads a model. Jobs do not: AWS's images lack the packages.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingClassifier

_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 8  # of ONNX 1.12, like the operators: any newer runtime reads it


def to_onnx(model: HistGradientBoostingClassifier) -> bytes:
    """Return the model as a serialised ONNX graph.

    Its input is an (n, f + d) float32 matrix; the last column of its last output is the probability that the target
    is true.
    """
    trees = [predictor.nodes for (predictor,) in model._predictors]
    nodes = np.concatenate(trees)
    sizes = [len(tree) for tree in trees]
    leaf = nodes["is_leaf"] == 1
    ids = np.concatenate([np.arange(size) for size in sizes])
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    attributes: dict[str, Any] = {
        "nodes_treeids": tree_ids,
        "nodes_nodeids": ids,
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ"),
        "nodes_featureids": np.where(leaf, 0, nodes["feature_idx"]),
        "nodes_values": np.where(leaf, 0, _rounded_down(nodes["num_threshold"])),
        "nodes_truenodeids": np.where(leaf, 0, nodes["left"]),
        "nodes_falsenodeids": np.where(leaf, 0, nodes["right"]),
        "nodes_missing_value_tracks_true": np.where(leaf, 0, nodes["missing_go_to_left"]),
        "target_treeids": tree_ids[leaf],
        "target_nodeids": ids[leaf],
        "target_ids": np.zeros(leaf.sum(), dtype=np.int64),
        "target_weights": nodes["value"][leaf],
        "base_values": np.ravel(model._baseline_prediction),
    }
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["score"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        **{name: values.tolist() for name, values in attributes.items()},
    )
    graph = helper.make_graph(
        [ensemble, helper.make_node("Sigmoid", ["score"], ["probability"])],
        "classifier",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, model.n_features_in_])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
    )
    return bytes(helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION).SerializeToString())


def _rounded_down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the largest float32 at or below each threshold: a float32 is at or below both, or above both."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
