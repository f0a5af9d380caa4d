"""The hard sigmoid that GluonCV spells out becomes one operation.

    clip(x + 3, 0, 6) / 6  =  max(0, min(1, x / 6 + 1/2))  =  HardSigmoid(x; alpha = 1/6, beta = 1/2)

Requires: the numbers are constants of exactly that relation (shift s, limits 0 and 2 s, divisor 2 s), and nothing else
reads the steps between. Ensures: no such triple is left.
"""

from __future__ import annotations

from export.program import Op, Program

__all__ = ["fuse_hard_sigmoid"]


def fuse_hard_sigmoid(program: Program) -> None:
    """Fuse `Add`, `Clip`, and `Div` or `Mul`."""
    readers = program.readers()
    producers = program.producers()
    for last in program.ops:
        if last.type not in {"Div", "Mul"}:
            continue
        clip = producers.get(last.inputs[0])
        add = producers.get(clip.inputs[0]) if clip is not None and clip.type == "Clip" else None
        if clip is None or add is None or add.type != "Add":
            continue
        if readers[clip.outputs[0]] != 1 or readers[add.outputs[0]] != 1:
            continue
        divisor, shift = _number(program, last), _number(program, add)
        limits = [_constant(program, name) for name in clip.inputs[1:]]
        if divisor is None or shift is None or limits != [0, 2 * shift]:
            continue
        if abs((1 / divisor if last.type == "Mul" else divisor) - 2 * shift) > 1e-6 * shift:
            continue
        last.type, last.inputs = "HardSigmoid", [add.inputs[0]]
        last.attrs = {"alpha": 1 / (2 * shift), "beta": 0.5}
    program.prune()


def _number(program: Program, op: Op) -> float | None:
    return _constant(program, op.inputs[1])


def _constant(program: Program, name: str) -> float | None:
    array = program.constants.get(name)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None
