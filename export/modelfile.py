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


def write_model(path: Path, model: onnx.ModelProto) -> None:
    """Write `model` as its deterministic serialization.

    Raises:
        OSError: it cannot be written.
    """
    sizes = [tensor.ByteSize() for tensor in model.graph.initializer]
    weights = [_head(_INITIALIZER, size) for size in sizes]
    before, after = _around(model.graph, _INITIALIZER)
    size = len(before) + len(after) + sum(map(len, weights)) + sum(sizes)
    first, last = _around(model, _GRAPH)
    with path.open("wb") as file:
        file.write(first + _head(_GRAPH, size) + before)
        for head, tensor in zip(weights, model.graph.initializer, strict=True):
            file.write(head)
            file.write(tensor.SerializeToString(deterministic=True))
        file.write(after + last)
        file.flush()
        os.fsync(file.fileno())


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
