"""An operation that only gives a value another name goes; the value takes the name that is asked for.

    Identity(x)  =  x

Requires: the value is made by an operation (not an input or a constant) and is not an output under its own name.
Ensures: an `Identity` is left only where an output is an input, a constant, or another output.
"""

from __future__ import annotations

from export.program import Op, Program

__all__ = ["drop_identity"]


def drop_identity(program: Program) -> None:
    """Drop every `Identity` that is not needed for an output's name."""
    outputs = {tensor.name for tensor in program.outputs}
    made = {name for op in program.ops for name in op.outputs}
    gone: list[Op] = []
    for op in program.ops:
        if op.type != "Identity":
            continue
        source, result = op.inputs[0], op.outputs[0]
        if result not in outputs:
            program.replace_reads(result, source)
        elif source in made and source not in outputs:
            _rename(program, source, result, except_for=op)
            outputs.add(source)
        else:
            continue
        gone.append(op)
    program.remove(gone)


def _rename(program: Program, old: str, new: str, *, except_for: Op) -> None:
    for op in program.ops:
        if op is not except_for:
            op.inputs = [new if name == old else name for name in op.inputs]
            op.outputs = [new if name == old else name for name in op.outputs]
