"""From the engine's FP32 ONNX to the two graphs that TensorRT is given: batch axis free, and FP16 inside FP32 ends."""

import warnings
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper, shape_inference
from onnxconverter_common import float16

from appliance.inference.plan_files import FP32_OPERATORS

BATCH: Final = "batch"
_LARGE_SHARE: Final = 0.25  # of the picture's side
_WITH_WEIGHTS: Final = ("Conv", "ConvTranspose")
_SMALLEST: Final = 6e-8  # what FP16 can still hold: smaller weights become this, and the gate sees what that does
_LARGEST: Final = 65504.0


class GraphRefused(Exception):
    """The graph cannot be made ready for TensorRT. The message names the node and says why."""


def with_free_batch(model: bytes) -> Any:
    """The same graph (onnx.ModelProto) for any number of slices. GraphRefused where a node holds on to one slice.

    A reshape computes its shape out of the batch, or has it written down: both become a constant with the batch left
    open, so that nothing has to be worked out on the host between two slices.
    """
    try:
        graph_of = shape_inference.infer_shapes(onnx.load_model_from_string(model), strict_mode=True, data_prop=True)
    except (DecodeError, shape_inference.InferenceError) as error:
        raise GraphRefused(f"The model cannot be read: {error!s:.300}") from None
    graph = graph_of.graph
    _name_nodes(graph)
    _constants_as_weights(graph)
    shapes = {value.name: _shape(value) for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = shapes.get(node.output[0])
        if not shape or shape[0] != 1 or not all(isinstance(size, int) for size in shape):
            raise GraphRefused(f"{node.name} (Reshape) does not keep the slice as its first axis")
        name = f"{node.name}/free_batch"
        graph.initializer.append(numpy_helper.from_array(np.array([-1, *shape[1:]], dtype=np.int64), name))
        node.input[1] = name
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]
    _drop_unused(graph)
    try:
        onnx.checker.check_model(graph_of, full_check=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        raise GraphRefused(f"The graph does not allow several slices at once: {error!s:.300}") from None
    return graph_of


def ends_of(graph: Any) -> set[str]:
    """Names of the nodes that no convolution follows: what makes heat map, embedding and logits. They stay in FP32."""
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    leads_on: set[str] = set()
    for node in reversed(graph.node):  # in topological order, so each reader is judged before its maker
        after = [reader for name in node.output for reader in readers.get(name, [])]
        if any(one.op_type in _WITH_WEIGHTS or one.name in leads_on for one in after):
            leads_on.add(node.name)
    return {node.name for node in graph.node} - leads_on


def beginning_of(model: Any) -> set[str]:
    """Names of the nodes that work on large maps, and on what nodes on large maps made. They stay in FP32.

    Large: at least a quarter of the picture's side. What is rounded there is rounded again by every layer behind, and
    the picture's own windows end where FP16 is coarse. A network that never shrinks its picture has no beginning.
    """
    graph = shape_inference.infer_shapes(model).graph
    sides = {one.name: _side(one) for one in (*graph.value_info, *graph.input, *graph.output)}
    least = max((sides[one.name] for one in graph.input), default=0) * _LARGE_SHARE
    weights = {one.name for one in graph.initializer}
    large = {one.name for one in graph.input}
    found: set[str] = set()
    for node in graph.node:
        if all(name in large or name in weights for name in node.input) and sides.get(node.output[0], 0) >= least > 0:
            large.update(node.output)
            found.add(node.name)
    return found if len(found) < len(graph.node) else set()


def kept_in_fp32(free: Any) -> set[str]:
    """Names of the nodes of a graph (of `with_free_batch`) that FP16 leaves alone, whatever their operator."""
    return ends_of(free.graph) | beginning_of(free)


def to_fp16(free: Any) -> Any:
    """The graph (of `with_free_batch`) in FP16, its beginning, its ends and `FP32_OPERATORS` in FP32.

    The converter is given the part between alone; beginning and ends are put back as they were. GraphRefused if that
    fails.
    """
    whole = onnx.ModelProto()
    whole.CopyFrom(free)
    ends = ends_of(whole.graph)
    beginning = beginning_of(whole) - ends
    trunk, borders = _cut(whole, ends, beginning)
    with warnings.catch_warnings():  # of weights that do not fit: the gate names those that matter
        warnings.simplefilter("ignore")
        try:
            trunk = float16.convert_float_to_float16(
                trunk,
                min_positive_val=_SMALLEST,
                max_finite_val=_LARGEST,
                keep_io_types=True,
                op_block_list=list(FP32_OPERATORS),
            )
        except (ValueError, RuntimeError) as error:
            raise GraphRefused(f"onnxconverter-common does not convert the graph: {error!s:.300}") from None
    _rejoin(trunk.graph, whole.graph, beginning, ends, borders)
    try:
        onnx.checker.check_model(trunk, full_check=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError) as error:
        raise GraphRefused(f"The graph in FP16 does not hold together: {error!s:.300}") from None
    return trunk


def _cut(whole: Any, ends: set[str], beginning: set[str]) -> tuple[Any, dict[str, str]]:
    """The model without beginning and ends; and tensor -> the name under which it leaves the trunk."""
    graph = shape_inference.infer_shapes(whole).graph
    inside = [node for node in graph.node if node.name not in ends | beginning]
    made = {name for node in inside for name in node.output}
    needed = {name for node in graph.node if node.name in ends for name in node.input}
    borders = {name: f"{name}/border" for name in sorted(needed & made)}
    trunk = onnx.ModelProto()
    trunk.CopyFrom(whole)
    del trunk.graph.node[:], trunk.graph.output[:]
    read = {name for node in inside for name in node.input} - made
    _keep(trunk.graph.input, (one for one in (*graph.input, *graph.value_info) if one.name in read))
    trunk.graph.node.extend(inside)
    for name, border in borders.items():
        trunk.graph.node.append(onnx.helper.make_node("Identity", [name], [border], name=border))
        trunk.graph.output.append(onnx.helper.make_tensor_value_info(border, TensorProto.FLOAT, None))
    used = {name for node in trunk.graph.node for name in node.input}
    _keep(trunk.graph.initializer, (one for one in trunk.graph.initializer if one.name in used))
    inferred = shape_inference.infer_shapes(trunk)
    return inferred, borders


def _rejoin(trunk: Any, graph: Any, beginning: set[str], ends: set[str], borders: dict[str, str]) -> None:
    """Puts beginning and ends round the trunk, with FP32 weights of their own.

    A tensor reaches the ends through the one cast that the converter set at its border, and the trunk through one too.
    """
    makers = {name: node for node in trunk.node for name in node.output}
    for border in borders.values():
        cast = makers[border]
        identity = makers[cast.input[0]]
        cast.input[0] = identity.input[0]
        trunk.node.remove(identity)
    of_the_trunk = {one.name for one in trunk.initializer}
    weights = {one.name: one for one in graph.initializer}
    moved: set[str] = set()
    outside = [node for node in graph.node if node.name in beginning | ends]
    for node in outside:
        for index, name in enumerate(node.input):
            own = f"{name}/fp32" if name in weights and name in of_the_trunk else name
            node.input[index] = borders.get(name, own)
            if name in weights and own not in moved:
                moved.add(own)
                trunk.initializer.append(numpy_helper.from_array(numpy_helper.to_array(weights[name]), own))
    first = [node for node in outside if node.name in beginning]
    _keep(trunk.node, (*first, *trunk.node, *(node for node in outside if node.name in ends)))
    _keep(trunk.input, graph.input)
    _keep(trunk.output, graph.output)
    del trunk.value_info[:]


def _constants_as_weights(graph: Any) -> None:
    """So that each stays in the precision of its reader: the scales of a resize are never a value that is cast."""
    for node in [one for one in graph.node if one.op_type == "Constant"]:
        held = next((part.t for part in node.attribute if part.name == "value"), None)
        if held is not None:
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(held), node.output[0]))
            graph.node.remove(node)


def _name_nodes(graph: Any) -> None:
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{index}"


def _drop_unused(graph: Any) -> None:
    """Without nodes and weights that lead to no output."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    _keep(graph.node, kept[::-1])
    _keep(graph.initializer, (one for one in graph.initializer if one.name in needed))


def _keep(field: Any, values: Iterable[Any]) -> None:
    kept = list(values)
    copies = [type(one).FromString(one.SerializeToString()) for one in kept]
    del field[:]
    field.extend(copies)


def _side(value: Any) -> int:
    """The smaller side of a map, 0 of what is none."""
    shape = _shape(value)
    return min((size or 0 for size in shape[2:]), default=0) if len(shape) == 4 else 0


def _shape(value: Any) -> list[int | None]:
    tensor = value.type.tensor_type
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
