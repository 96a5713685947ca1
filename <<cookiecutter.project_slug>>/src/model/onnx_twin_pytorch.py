"""The model as an ONNX graph, with which ONNX Runtime predicts small requests faster than the framework.

The server creates the graph when it loads a model. Jobs do not: AWS's images lack the packages. The graph is written by
hand, because PyTorch's exporter takes many seconds: it must compute the same as `Network.forward`. If the predictions
differ, the server uses the network alone.
"""

from typing import Any

from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import nn

_OPSETS = [helper.make_opsetid("", 17)]
_IR_VERSION = 8  # of ONNX 1.12, like the operators: any newer runtime reads it


def to_onnx(model: nn.Module) -> bytes:
    """Return the model as a serialised ONNX graph.

    Its input is an (n, f + d) float32 matrix; the last column of its last output is the probability that the target
    is true.

    Raises:
        ValueError: The network has a layer that cannot be converted.
    """
    constants = {**dict(model.named_buffers()), **dict(model.named_parameters())}
    constants["least"], constants["zero"] = -constants["limit"], 0 * constants["limit"]
    nodes = [
        _node("Gather", "features", "numbers", to="raw", axis=1),
        _node("Sub", "raw", "mean", to="centred"),
        _node("Div", "centred", "deviation", to="scaled"),
        _node("Clip", "scaled", "least", "limit", to="clipped"),
        _node("IsNaN", "raw", to="unknown"),
        _node("Where", "unknown", "zero", "clipped", to="standardised"),
        _node("IsNaN", "features", to="missing"),
        _columns("missing"),
        _node("Gather", "features", "category_positions", to="codes", axis=1),
        _node("Equal", "codes", "category_codes", to="chosen"),
        _columns("chosen"),
        _node("Concat", "standardised", "missing columns", "chosen columns", to="prepared", axis=1),
    ]
    at = "prepared"
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            nodes.append(_node("Gemm", at, f"{name}.weight", f"{name}.bias", to=name, transB=1))
        elif isinstance(layer, nn.ReLU):
            nodes.append(_node("Relu", at, to=name))
        elif isinstance(layer, nn.Dropout) or any(layer.children()):
            continue  # no effect at inference
        else:
            raise ValueError(f"model/onnx_twin.py cannot convert the layer {layer}")
        at = name
    nodes.append(_node("Sigmoid", at, to="probability"))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, "width"])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(tensor.detach().numpy(), name) for name, tensor in constants.items()],
    )
    return bytes(helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION).SerializeToString())


def _node(operator: str, *inputs: str, to: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, list(inputs), [to], **attributes)


def _columns(truths: str) -> NodeProto:
    return helper.make_node("Cast", [truths], [f"{truths} columns"], to=TensorProto.FLOAT)
