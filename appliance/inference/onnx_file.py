"""What must be known of an ONNX file before a runtime opens it: its opset, and whether it wants a second file.

A model may keep its weights in a file beside it. A runtime that is given bytes looks for that file in the working
folder, so the hash of the model would vouch for nothing. The file is walked here as the messages of protobuf that it
is (field numbers: onnx.proto of IR version 10).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_EXTERNAL: Final = 1  # TensorProto.DataLocation

# Of each message, the fields that lead to tensors: number -> message.
_INNER: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_MODEL_OPSET: Final = 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_TENSOR_EXTERNAL_DATA, _TENSOR_LOCATION = 13, 14
_PLAIN_DOMAINS: Final = (b"", b"ai.onnx")


class NotOnnx(ValueError):
    """The bytes are no ONNX model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFacts:
    """`opset` of the plain operators; `wants_other_files`: weights lie outside the file."""

    opset: int
    wants_other_files: bool


def look_at_onnx(data: bytes) -> OnnxFacts:
    """The facts of a model. NotOnnx for bytes that are none."""
    opset = 0
    outside = False
    has_graph = False
    waiting: list[tuple[str, memoryview]] = [("model", memoryview(data))]
    while waiting:
        message, part = waiting.pop()
        for field, value in message_fields(part):
            inner = _INNER[message].get(field)
            if inner and isinstance(value, memoryview):
                has_graph = has_graph or message == "model"
                waiting.append((inner, value))
            elif message == "model" and field == _MODEL_OPSET and isinstance(value, memoryview):
                opset = max(opset, _plain_opset(value))
            elif message == "tensor" and (
                field == _TENSOR_EXTERNAL_DATA or (field == _TENSOR_LOCATION and value == _EXTERNAL)
            ):
                outside = True
    if not has_graph or not opset:
        raise NotOnnx("no graph or no opset")
    return OnnxFacts(opset=opset, wants_other_files=outside)


def _plain_opset(part: memoryview) -> int:
    found = dict(message_fields(part))
    domain, version = found.get(_OPSET_DOMAIN, b""), found.get(_OPSET_VERSION, 0)
    return version if isinstance(version, int) and domain in _PLAIN_DOMAINS else 0


def message_fields(part: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one message: an int for a varint, else the bytes."""
    at = 0
    while at < len(part):
        key, at = _varint(part, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(part, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, at = _varint(part, at)
        elif kind in (_FIXED_64, _FIXED_32):
            length = 8 if kind == _FIXED_64 else 4
        else:
            raise NotOnnx("a field of no known kind")
        if length > len(part) - at:
            raise NotOnnx("a field that is longer than the file")
        yield key >> 3, part[at : at + length]
        at += length


def _varint(part: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(part):
            break
        byte = part[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise NotOnnx("a number that does not end")
