"""MXNet's `.params` bytes to arrays; every magic that MXNet 0.x to 1.9 wrote."""

from __future__ import annotations

import math
import struct
from typing import Final

import numpy as np

from export.errors import SourceError
from export.graph import Array

__all__ = ["read_params"]

_FILE_MAGIC: Final = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MAX_ARRAYS: Final = 200_000
_MAX_NAME: Final = 4096
_MAX_DIMS: Final = 32
_MAX_ELEMENTS: Final = 1 << 40
_DTYPES: Final = ("<f4", "<f8", "<f2", "|u1", "<i4", "|i1", "<i8", "|b1")


def read_params(data: bytes, origin: str) -> dict[str, Array]:
    """All arrays of a file by name, without the `arg:` and `aux:` prefixes; they are views of `data`.

    Args:
        data: the file's bytes.
        origin: what to call the file in messages.

    Raises:
        SourceError: the bytes are truncated or are not such a file; the message names the array concerned.
    """
    reader = _Reader(data, origin)
    if len(data) < 24 or reader.unpack("<Q", "the header") != _FILE_MAGIC:
        raise SourceError(f"{origin}: not an MXNet parameter file (its first bytes are not 0x112)")
    reader.unpack("<Q", "the header")
    count = reader.unpack("<Q", "the header")
    if count > _MAX_ARRAYS:
        raise SourceError(f"{origin}: claims {count} arrays, more than the {_MAX_ARRAYS} that are accepted")
    # The names come last: remember where a damaged array lies by its number.
    arrays = [reader.array(f"array {index} of {count}") for index in range(count)]
    named = reader.unpack("<Q", "the list of names")
    if named != count:
        raise SourceError(f"{origin}: has {count} arrays but {named} names; a file of named weights is expected")
    result: dict[str, Array] = {}
    for index, array in enumerate(arrays):
        name = reader.name(f"name {index}")
        plain = name.split(":", 1)[1] if name.startswith(("arg:", "aux:")) else name
        if plain in result:
            raise SourceError(f"{origin}: parameter {plain!r} is in the file twice")
        if array is None:
            raise SourceError(f"{origin}: parameter {plain!r} holds no data; save the model after initialising it")
        result[plain] = array
    return result


class _Reader:
    """A cursor over the bytes that never reads past their end."""

    def __init__(self, data: bytes, origin: str) -> None:
        self._data = data
        self._origin = origin
        self._at = 0

    def unpack(self, layout: str, where: str) -> int:
        size = struct.calcsize(layout)
        self._need(size, where)
        (value,) = struct.unpack_from(layout, self._data, self._at)
        self._at += size
        return int(value)

    def name(self, where: str) -> str:
        length = self.unpack("<Q", where)
        if length > _MAX_NAME:
            raise SourceError(f"{self._origin}: {where} is {length} bytes long: the file is damaged")
        self._need(length, where)
        raw = self._data[self._at : self._at + length]
        self._at += length
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise SourceError(f"{self._origin}: {where} is not text: the file is damaged") from exc

    def array(self, where: str) -> Array | None:
        dims = self._dims(where)
        if dims is None:
            return None
        self.unpack("<i", where)
        self.unpack("<i", where)
        flag = self.unpack("<i", where)
        if not 0 <= flag < len(_DTYPES):
            raise SourceError(f"{self._origin}: {where} has the unknown data type {flag}")
        dtype = np.dtype(_DTYPES[flag])
        count = math.prod(dims)
        self._need(count * dtype.itemsize, where)
        flat = np.frombuffer(self._data, dtype=dtype, count=count, offset=self._at)
        self._at += count * dtype.itemsize
        return flat.reshape(dims)

    def _dims(self, where: str) -> tuple[int, ...] | None:
        magic = self.unpack("<I", where)
        if magic in {_V2, _V3}:
            if (storage := self.unpack("<i", where)) != 0:
                raise SourceError(
                    f"{self._origin}: {where} is stored sparse (type {storage}); save it dense: .tostype('default')"
                )
            ndim, layout = self.unpack("<i", where), "<q"
        elif magic == _V1:
            ndim, layout = self.unpack("<I", where), "<q"
        else:
            ndim, layout = magic, "<I"
        if not -1 <= ndim <= _MAX_DIMS:
            raise SourceError(f"{self._origin}: {where} claims {ndim} dimensions: the file is damaged or foreign")
        # Zero dimensions mean "no array" until numpy-style shapes came in version 3, where -1 means it.
        if ndim == -1 or (ndim == 0 and magic != _V3):
            return None
        dims = tuple(self.unpack(layout, where) for _ in range(ndim))
        # Without its zeros too, a shape must be one that numpy can hold.
        if any(dim < 0 for dim in dims) or math.prod(dim or 1 for dim in dims) > _MAX_ELEMENTS:
            raise SourceError(f"{self._origin}: {where} has the shape {dims}: the file is damaged")
        return dims

    def _need(self, size: int, where: str) -> None:
        left = len(self._data) - self._at
        if size > left:
            raise SourceError(
                f"{self._origin}: truncated at {where}: {size} bytes are needed, {left} are left; copy the file again"
            )
