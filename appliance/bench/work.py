"""What one answer of an engine costs at least, counted from its ONNX graph: multiplications and bytes.

The runtime says the shapes: the model is run once, without optimisations, with the inner values that matter named as
outputs. What is counted are the operators that hold nearly all the work; additions by element, activations and
resizing are left out, so that the floor stays a floor.
"""

from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Final

import numpy as np

from appliance.bench.onnx_graph import Node, look_at_graph, with_outputs
from appliance.inference.onnxruntime_backend import RUNTIME_ERRORS
from appliance.inference.runtime import ort

FLOAT_BYTES: Final = 4
COUNTED: Final = ("Conv", "Gemm", "MatMul")
_REFUSED: Final[tuple[type[Exception], ...]] = (*RUNTIME_ERRORS, TypeError)
"""TypeError: an input without a fixed shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Of one picture: multiply-adds, bytes of the weights, and bytes that go in and come out (all as FP32)."""

    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int

    @property
    def bytes(self) -> int:
        """What must be moved even if every inner value stays in the cache."""
        return self.weight_bytes + self.input_bytes + self.output_bytes

    def as_dict(self) -> dict[str, int]:
        """For the document."""
        return {**asdict(self), "bytes": self.bytes}


class NotCounted(Exception):
    """The work of this graph cannot be counted; the message says why."""


def work_of(model: bytes) -> Work:
    """The work of a model with fixed shapes. NotCounted where shapes stay open or the runtime refuses it."""
    graph = look_at_graph(model)
    shapes = _shapes(model, graph.nodes, graph.initializers)
    macs = sum(_macs(node, shapes) for node in graph.nodes if node.operator in COUNTED)
    return Work(
        macs=macs,
        weight_bytes=FLOAT_BYTES * sum(prod(shape) for shape in graph.initializers.values()),
        input_bytes=FLOAT_BYTES * sum(prod(shapes[name]) for name in graph.inputs if name not in graph.initializers),
        output_bytes=FLOAT_BYTES * sum(prod(shapes[name]) for name in graph.outputs),
    )


def _shapes(
    model: bytes, nodes: tuple[Node, ...], initializers: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """The shape of every value that a counted operator reads or writes, and of inputs and outputs."""
    named = {name for node in nodes if node.operator in COUNTED for name in node.outputs}
    named |= {name for node in nodes if node.operator in COUNTED for name in node.inputs if name}
    made = {name for node in nodes for name in node.outputs}
    wanted = with_outputs(model, sorted(named & made))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(wanted, options, providers=["CPUExecutionProvider"])
        pictures = {value.name: np.zeros(value.shape, dtype=np.float32) for value in session.get_inputs()}
        answers = session.run(None, pictures)
    except _REFUSED as error:
        raise NotCounted(f"the runtime does not say its shapes ({type(error).__name__})") from None
    outputs = zip(session.get_outputs(), answers, strict=True)
    return {
        **initializers,
        **{name: picture.shape for name, picture in pictures.items()},
        **{value.name: answer.shape for value, answer in outputs},
    }


def _macs(node: Node, shapes: dict[str, tuple[int, ...]]) -> int:
    """Multiply-adds of a convolution or a product of matrices: each value of the output, times what is summed for it."""
    try:
        out, weight = shapes[node.outputs[0]], shapes[node.inputs[1]]
        first = shapes[node.inputs[0]]
    except KeyError as missing:
        raise NotCounted(f"the shape of {missing} is not known") from None
    if node.operator == "Conv":
        return prod(out) * prod(weight[1:])  # the weight's own channels are those of one group
    transposed = node.operator == "Gemm" and node.whole("transA", 0)
    return prod(out) * first[0 if transposed else -1]


def floor_of(work: Work, ceilings: dict[str, Any], slices: int = 1) -> dict[str, float]:
    """Milliseconds below which this machine cannot go, by arithmetic and by memory; the larger one is the floor."""
    compute_ms = 2 * work.macs * slices / (ceilings["gflops"] * 1e9) * 1000
    moved = work.weight_bytes + (work.input_bytes + work.output_bytes) * slices
    memory_ms = moved / (ceilings["copy_gb_s"] * 1e9) * 1000
    return {"compute_ms": compute_ms, "memory_ms": memory_ms, "floor_ms": max(compute_ms, memory_ms)}
