"""One question to an ONNX file without onnx: does it ask for bytes outside itself?

A protobuf message is a run of (field number, wire type, value); only the fields on the way to a TensorProto are
descended into. Field numbers: onnx.proto (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto,
SparseTensorProto, FunctionProto, TrainingInfoProto).
"""

from collections.abc import Iterator

from edge.errors import BundleError

__all__ = ["holds_external_data"]

# message -> {field number of a sub-message: its type}
_DESCEND: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_MAX_DEPTH = 64


def holds_external_data(model: bytes) -> bool:
    """Whether any tensor of the serialized ModelProto names data outside the file.

    Raises:
        BundleError: when the bytes are not a well-formed protobuf message.
    """
    return _message(memoryview(model), "model", 0)


def _message(data: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise BundleError("model.onnx: nested deeper than any model is")
    below = _DESCEND.get(kind, {})
    for field, value in _fields(data):
        if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
            return True
        if field in below and isinstance(value, memoryview) and _message(value, below[field], depth + 1):
            return True
    return False


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise BundleError("model.onnx: not an ONNX file")
        if size > len(data) - at:
            raise BundleError("model.onnx: not an ONNX file, or truncated")
        if wire == 2:
            yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise BundleError("model.onnx: not an ONNX file, or truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise BundleError("model.onnx: not an ONNX file")
