"""What MXNet's `Reshape` codes mean for a given shape."""

from __future__ import annotations

import math
from collections.abc import Iterator

__all__ = ["reshaped"]


def reshaped(shape: tuple[int, ...], codes: tuple[int, ...], *, reverse: bool = False) -> tuple[int, ...]:
    """The shape after `Reshape`, as MXNet's `matrix_op-inl.h`, `InferReshapeShape` works it out.

    Args:
        shape: the input's shape.
        codes: positive numbers are sizes; 0 copies a dimension, -1 is inferred (once), -2 copies what is left,
            -3 merges two dimensions, -4 splits one into the two numbers that follow, one of which may be -1.
        reverse: read both from the right.

    Raises:
        ValueError: the codes do not fit the shape.
    """
    if reverse:
        return tuple(reversed(_walk(tuple(reversed(shape)), tuple(reversed(codes)))))
    return _walk(shape, codes)


def _walk(shape: tuple[int, ...], codes: tuple[int, ...]) -> tuple[int, ...]:
    out: list[int] = []
    at = 0
    pending = iter(codes)
    for code in pending:
        if code > 0:
            out.append(code)
            at += 1
        elif code == 0:
            out.append(_dim(shape, at))
            at += 1
        elif code == -1:
            out.append(-1)
            at += 1
        elif code == -2:
            out.extend(shape[at:])
            at = len(shape)
        elif code == -3:
            out.append(_dim(shape, at) * _dim(shape, at + 1))
            at += 2
        elif code == -4:
            out.extend(_split(_dim(shape, at), pending))
            at += 1
        else:
            raise ValueError(f"code {code} is unknown")
    return _infer(shape, out)


def _dim(shape: tuple[int, ...], at: int) -> int:
    if at >= len(shape):
        raise ValueError(f"there is no dimension {at} in the shape {shape}")
    return shape[at]


def _split(dim: int, pending: Iterator[int]) -> tuple[int, int]:
    one, two = next(pending, 0), next(pending, 0)
    if one == -1 and two > 0:
        one = dim // two
    elif two == -1 and one > 0:
        two = dim // one
    if one <= 0 or two <= 0 or one * two != dim:
        raise ValueError(f"-4 cannot split {dim} into {one} and {two}")
    return one, two


def _infer(shape: tuple[int, ...], out: list[int]) -> tuple[int, ...]:
    total = math.prod(shape)
    if out.count(-1) > 1:
        raise ValueError("more than one -1")
    if -1 in out:
        rest = math.prod(dim for dim in out if dim != -1)
        out[out.index(-1)] = total // rest if rest else 0
    if math.prod(out) != total:
        raise ValueError(f"{total} elements of the shape {shape} do not fit {tuple(out)}")
    return tuple(out)
