"""A comparison that was made a number only to be made a truth value again stays a truth value.

    Cast_bool(Cast_number(c))  =  c        for c boolean

MXNet's comparisons give numbers and its `where` takes them. Requires: c comes from an operation whose result is
boolean. Ensures: no such pair is left.
"""

from __future__ import annotations

from onnx import TensorProto

from export.program import Op, Program

__all__ = ["merge_casts"]

_BOOLEAN = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Xor"}


def merge_casts(program: Program) -> None:
    """Drop every way from boolean to number to boolean."""
    producers = program.producers()
    outputs = {tensor.name for tensor in program.outputs}
    gone: list[Op] = []
    for back in program.ops:
        if back.type != "Cast" or back.attrs["to"] != TensorProto.BOOL or back.outputs[0] in outputs:
            continue
        there = producers.get(back.inputs[0])
        source = producers.get(there.inputs[0]) if there is not None and there.type == "Cast" else None
        if there is not None and source is not None and source.type in _BOOLEAN:
            program.replace_reads(back.outputs[0], there.inputs[0])
            gone.append(back)
    program.remove(gone)
    program.prune()
