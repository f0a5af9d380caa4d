"""A model's file, written weight by weight: protobuf would hold all of it in memory twice more while it writes.

The bytes are those of `SerializeToString`: fields in the order of their numbers, each length-delimited one as tag,
length, content (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx

__all__ = ["write_model"]

_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_DELIMITED = 2
_SMALL = 1024  # bytes: what decides shapes, which only constants in the model itself do, is smaller


def write_model(path: Path, model: onnx.ModelProto) -> bytes:
    """Write `model` as its deterministic serialization.

    Returns:
        Its outline: the same model as a file beside `path`, whose weights are read from `path`
        (https://onnx.ai/onnx/repo-docs/ExternalData.html). A runtime that loads that one maps the weights, where of the
        file itself it would make copies.

    Raises:
        OSError: it cannot be written.
    """
    sizes = [tensor.ByteSize() for tensor in model.graph.initializer]
    first, last = _around(model, _GRAPH)
    before, after = _around(model.graph, _INITIALIZER)
    size = len(before) + len(after) + sum(len(_head(_INITIALIZER, n)) + n for n in sizes)
    outlines = []
    with path.open("wb") as file:
        file.write(first + _head(_GRAPH, size) + before)
        for n, tensor in zip(sizes, model.graph.initializer, strict=True):
            data = tensor.SerializeToString(deterministic=True)
            file.write(_head(_INITIALIZER, n))
            file.write(data)
            outlines.append(_outline(tensor, data, path.name, file.tell()))
        file.write(after + last)
        file.flush()
        os.fsync(file.fileno())
    graph = before + b"".join(_head(_INITIALIZER, len(data)) + data for data in outlines) + after
    return first + _head(_GRAPH, len(graph)) + graph + last


def _outline(tensor: onnx.TensorProto, data: bytes, location: str, end: int) -> bytes:
    """The serialization `data` of a weight, or if it is large one that says where in the file it lies: up to `end`."""
    raw = tensor.raw_data
    if len(raw) < _SMALL or not data.endswith(raw):
        return data
    found = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    found.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", end - len(raw)), ("length", len(raw))):
        found.external_data.add(key=key, value=str(value))
    return bytes(found.SerializeToString(deterministic=True))


def _around(message: onnx.ModelProto | onnx.GraphProto, number: int) -> tuple[bytes, bytes]:
    """A message's fields with smaller numbers, and those with larger ones."""
    parts = type(message)(), type(message)()
    for field, value in message.ListFields():
        if field.number == number:
            continue
        part = parts[int(field.number > number)]
        if isinstance(value, int | float | str | bytes):
            setattr(part, field.name, value)
        else:
            getattr(part, field.name).MergeFrom(value)
    return parts[0].SerializeToString(deterministic=True), parts[1].SerializeToString(deterministic=True)


def _head(number: int, length: int) -> bytes:
    """Tag and length of a field."""
    return _varint(number << 3 | _DELIMITED) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
