"""The nodes of an ONNX graph and the shapes of its weights, read from the file as the messages of protobuf that it is.

Field numbers: onnx.proto of IR version 10. The product needs no library for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.inference.onnx_file import NotOnnx, message_fields

_MODEL_IR, _MODEL_GRAPH, _MODEL_OPSET = 1, 7, 8
_OPSET_VERSION: Final = 2
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_WHOLE = 1, 3
_TENSOR_DIMS, _TENSOR_NAME = 1, 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_KIND, _TYPE_SHAPE, _SHAPE_DIM, _DIM_VALUE = 1, 1, 2, 1, 1
_FLOAT: Final = 1
_BYTES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator: names of what it reads and writes, and its whole-number attributes."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, int] = field(default_factory=dict)

    def whole(self, name: str, otherwise: int) -> int:
        """A whole-number attribute."""
        return self.attributes.get(name, otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """`initializers`: shapes of the weights by name."""

    nodes: tuple[Node, ...]
    initializers: dict[str, tuple[int, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def look_at_graph(model: bytes) -> Graph:
    """The graph of a model. NotOnnx for bytes that are none."""
    graph = next(
        (value for number, value in message_fields(memoryview(model)) if number == _MODEL_GRAPH), memoryview(b"")
    )
    if isinstance(graph, int) or not len(graph):
        raise NotOnnx("no graph")
    nodes: list[Node] = []
    weights: dict[str, tuple[int, ...]] = {}
    names: dict[int, list[str]] = {_GRAPH_INPUT: [], _GRAPH_OUTPUT: []}
    for number, part in message_fields(graph):
        if isinstance(part, int):
            continue
        if number == _GRAPH_NODE:
            nodes.append(_node(part))
        elif number == _GRAPH_INITIALIZER:
            name, shape = _tensor(part)
            weights[name] = shape
        elif number in names:
            names[number].append(_texts(part, _VALUE_NAME)[0])
    return Graph(
        nodes=tuple(nodes),
        initializers=weights,
        inputs=tuple(names[_GRAPH_INPUT]),
        outputs=tuple(names[_GRAPH_OUTPUT]),
    )


def with_outputs(model: bytes, names: Sequence[str]) -> bytes:
    """The same model with these inner values as outputs too.

    Messages of protobuf that stand behind each other are one message, so nothing of the file is rewritten.
    """
    values = b"".join(_packed(_GRAPH_OUTPUT, _packed(_VALUE_NAME, name.encode())) for name in names)
    return model + _packed(_MODEL_GRAPH, values)


def product_model(side: int) -> bytes:
    """A model that multiplies two float32 matrices [side, side], `left` and `right`: nothing but what the runtime can do."""
    shape = _packed(_TYPE_SHAPE, _packed(_SHAPE_DIM, _number(_DIM_VALUE, side)) * 2)
    kind = _packed(_VALUE_TYPE, _packed(_TYPE_TENSOR, _number(_TENSOR_KIND, _FLOAT) + shape))
    left, right, product = (_packed(_VALUE_NAME, name) + kind for name in (b"left", b"right", b"product"))
    node = _packed(_NODE_INPUT, b"left") + _packed(_NODE_INPUT, b"right") + _packed(_NODE_OUTPUT, b"product")
    graph = _packed(_GRAPH_NODE, node + _packed(_NODE_OPERATOR, b"MatMul")) + _packed(_GRAPH_NAME, b"product")
    graph += _packed(_GRAPH_INPUT, left) + _packed(_GRAPH_INPUT, right) + _packed(_GRAPH_OUTPUT, product)
    opset = _packed(_MODEL_OPSET, _number(_OPSET_VERSION, 17))
    return _number(_MODEL_IR, 8) + opset + _packed(_MODEL_GRAPH, graph)


def _node(part: memoryview) -> Node:
    attributes = dict(
        _attribute(value)
        for number, value in message_fields(part)
        if number == _NODE_ATTRIBUTE and not isinstance(value, int)
    )
    return Node(
        operator=_texts(part, _NODE_OPERATOR)[0],
        inputs=tuple(_texts(part, _NODE_INPUT)),
        outputs=tuple(_texts(part, _NODE_OUTPUT)),
        attributes=attributes,
    )


def _attribute(part: memoryview) -> tuple[str, int]:
    whole = next((value for number, value in message_fields(part) if number == _ATTRIBUTE_WHOLE), 0)
    return _texts(part, _ATTRIBUTE_NAME)[0], whole if isinstance(whole, int) else 0


def _tensor(part: memoryview) -> tuple[str, tuple[int, ...]]:
    shape: list[int] = []
    for number, value in message_fields(part):
        if number == _TENSOR_DIMS:
            shape += [value] if isinstance(value, int) else _varints(value)
    return _texts(part, _TENSOR_NAME)[0], tuple(shape)


def _texts(part: memoryview, wanted: int) -> list[str]:
    return [
        bytes(value).decode("utf-8", "replace")
        for number, value in message_fields(part)
        if number == wanted and not isinstance(value, int)
    ] or [""]


def _varints(part: memoryview) -> list[int]:
    """Whole numbers that stand packed behind each other."""
    found, value, shift = [], 0, 0
    for byte in part:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(value)
            value, shift = 0, 0
    return found


def _packed(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
