"""FP16 on a processor that has none: a graph in FP32 that rounds where the FP16 graph would, and one that shows its values.

ONNX Runtime widens FP16 to FP32 inside and rounds where it likes. So the graph says itself where: weights as the FP16
graph holds them, and every value that an operator of the FP16 part works out. What no processor shows is in which
precision a graphics card adds up inside one operator.
"""

from typing import Any, Final

import onnx
from onnx import TensorProto, numpy_helper, shape_inference

EXPOSED: Final = ("Add", "Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose values grow."""

# What these give stood in their input.
_EXACT: Final = frozenset(
    {"Concat", "Constant", "Flatten", "Identity", "MaxPool", "Relu", "Reshape", "Slice", "Squeeze", "Transpose"}
    | {"Unsqueeze"}
)


def exposed(free: Any) -> tuple[Any, tuple[str, ...]]:
    """The FP32 graph with each value of the `EXPOSED` operators as one more output, and their names."""
    model = onnx.ModelProto()
    model.CopyFrom(free)
    given = {value.name for value in model.graph.output}
    names = tuple(node.output[0] for node in model.graph.node if node.op_type in EXPOSED)
    for name in names:
        if name not in given:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model, names


def rounding(half: Any) -> Any:
    """The FP16 graph (of `graphs.to_fp16`) in FP32, each value rounded to what FP16 can hold where it would be."""
    inferred = shape_inference.infer_shapes(half, strict_mode=True)
    graph = inferred.graph
    in_half = {value.name for value in graph.value_info if value.type.tensor_type.elem_type == TensorProto.FLOAT16}
    for one in graph.initializer:
        if one.data_type == TensorProto.FLOAT16:
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one).astype("float32"), one.name))
    nodes = [made for node in graph.node for made in _rounded(node, in_half)]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(inferred, full_check=True)
    return inferred


def _rounded(node: Any, in_half: set[str]) -> list[Any]:
    """The node, and its rounding behind it. A cast down is a rounding; a cast up of what was rounded is nothing."""
    make = onnx.helper.make_node
    if node.op_type == "Cast":
        to = next(part.i for part in node.attribute if part.name == "to")
        if to == TensorProto.FLOAT16:
            return _down_and_up(node.input[0], node.output[0], node.name)
        if to == TensorProto.FLOAT:
            return [make("Identity", list(node.input), list(node.output), name=node.name)]
    for part in node.attribute:
        if part.t.data_type == TensorProto.FLOAT16:
            part.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(part.t).astype("float32"), part.t.name))
    if node.op_type in _EXACT or not in_half & set(node.output):
        return [node]
    value = node.output[0]
    node.output[0] = f"{value}/unrounded"
    return [node, *_down_and_up(node.output[0], value, f"{node.name}/round")]


def _down_and_up(source: str, target: str, name: str) -> list[Any]:
    make, half = onnx.helper.make_node, f"{target}/half"
    return [
        make("Cast", [source], [half], name=f"{name}/down", to=TensorProto.FLOAT16),
        make("Cast", [half], [target], name=f"{name}/up", to=TensorProto.FLOAT),
    ]
