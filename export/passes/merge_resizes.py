"""Two enlargements to the nearest pixel, one after the other, are one.

    Resize_b(Resize_a(x))  =  Resize_ab(x)        for whole scales a and b

Requires: nothing else reads what the first one gives. Ensures: no such pair is left.
"""

from __future__ import annotations

import numpy as np

from export.graph import Array
from export.program import Op, Program

__all__ = ["merge_resizes"]

_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def merge_resizes(program: Program) -> None:
    """Let one enlargement do what two in a row do."""
    readers, producers = program.readers(), program.producers()
    gone: list[Op] = []
    for second in program.ops:
        first = producers.get(second.inputs[0]) if second.inputs else None
        if first is None or readers[first.outputs[0]] != 1:
            continue
        scales = [_whole_scales(program, op) for op in (first, second)]
        if scales[0] is None or scales[1] is None:
            continue
        name = program.fresh(f"{second.inputs[2]}/both")
        program.constants[name] = scales[0] * scales[1]
        second.inputs = [first.inputs[0], "", name]
        gone.append(first)
    program.remove(gone)
    program.prune()


def _whole_scales(program: Program, op: Op) -> Array | None:
    if op.type != "Resize" or len(op.inputs) != 3 or _text(op.attrs) != _NEAREST:
        return None
    scales = program.constants.get(op.inputs[2])
    return scales if scales is not None and np.array_equal(scales, np.round(scales)) and scales.min() >= 1 else None


def _text(attrs: dict[str, object]) -> dict[str, object]:
    # A model that was read has bytes where a program has text.
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in attrs.items()}
