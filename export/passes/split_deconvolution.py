"""A deconvolution that doubles its input becomes four small convolutions, one for each place in a 2x2 block.

Of an output at s i + j (stride s, padding p, kernel K) only the taps k = r, r + s, r + 2 s... with r = (j + p) mod s
fall on inputs, so that the outputs of one j are a convolution of their own ("sub-pixel", Shi et al., 2016,
https://arxiv.org/abs/1609.07009); `DepthToSpace` puts them side by side. The multiplications are the same ones.
onnxruntime has fast and 8-bit kernels for convolutions, neither for deconvolutions.

Requires: two dimensions, one group, constant weights, stride 2 both ways, and an output of exactly twice the input's
size. Ensures: no such deconvolution is left; a Relu that alone read its result now stands behind each convolution,
where it is fused.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.graph import Array
from export.program import Op, Program

__all__ = ["split_deconvolution"]

_STRIDE = 2


def split_deconvolution(program: Program) -> None:
    """Split every `ConvTranspose` that doubles its input."""
    readers = program.readers()
    ops: list[Op] = []
    gone: list[Op] = []
    for op in program.ops:
        phases = _phases(program, op)
        if phases is None:
            ops.append(op)
            continue
        relu = _only_relu(program, op, readers)
        ops += _split(program, op, phases, relu)
        if relu is not None:
            gone.append(relu)
    program.ops = ops
    program.remove(gone)
    program.prune()


@dataclass(frozen=True, slots=True)
class _Phase:
    """Along one axis: the kernel's taps `first`, `first` + 2..., and the padding of the convolution with them."""

    first: int
    before: int
    after: int


def _phases(program: Program, op: Op) -> list[list[_Phase]] | None:
    """For each axis the phases of its two places, or None for what is not to be split."""
    if op.type != "ConvTranspose" or not all(name in program.constants for name in op.inputs[1:] if name):
        return None
    kernel = program.constants[op.inputs[1]].shape[2:]
    plain = op.attrs.get("group", 1) == 1 and set(op.attrs.get("dilations", [1])) == {1}
    if len(kernel) != 2 or not plain or list(op.attrs.get("strides", [])) != [_STRIDE] * 2:
        return None
    pads = op.attrs.get("pads", [0] * 4)
    grown = op.attrs.get("output_padding") or [0, 0]
    axes = []
    for taps, before, after, more in zip(kernel, pads[:2], pads[2:], grown, strict=True):
        if taps + more - before - after != _STRIDE:
            return None
        axes.append([_phase(taps, before + place) for place in range(_STRIDE)])
    return axes if all(phase.before >= 0 for axis in axes for phase in axis) else None


def _phase(taps: int, place: int) -> _Phase:
    # Output i reads inputs i + after, i + after - 1, ...: as many as there are taps of this phase.
    after, first = divmod(place, _STRIDE)
    count = len(range(first, taps, _STRIDE))
    return _Phase(first, count - 1 - after, after)


def _only_relu(program: Program, op: Op, readers: Mapping[str, int]) -> Op | None:
    if readers[op.outputs[0]] != 1:
        return None
    return next((reader for reader in program.ops if reader.type == "Relu" and reader.inputs == op.outputs), None)


def _split(program: Program, op: Op, axes: list[list[_Phase]], relu: Op | None) -> list[Op]:
    weight: Array = program.constants[op.inputs[1]]
    result = (relu or op).outputs
    made: list[Op] = []
    parts: list[str] = []
    for number, (down, right) in enumerate(itertools.product(*axes)):
        # [in, out, k, k] of a deconvolution; a convolution's taps run the other way.
        taps = weight[:, :, down.first :: _STRIDE, right.first :: _STRIDE][:, :, ::-1, ::-1].swapaxes(0, 1)
        stored = program.fresh(f"{op.inputs[1]}_{number}")
        program.constants[stored] = np.ascontiguousarray(taps)
        part = f"{op.outputs[0]}/{number}"
        made.append(
            Op(
                "Conv",
                part,
                [op.inputs[0], stored, *op.inputs[2:]],
                [part],
                {
                    "kernel_shape": list(taps.shape[2:]),
                    "strides": [1, 1],
                    "dilations": [1, 1],
                    "pads": [down.before, right.before, down.after, right.after],
                    "group": 1,
                },
            )
        )
        if relu is not None:
            rectified = f"{relu.outputs[0]}/{number}"
            made.append(Op("Relu", rectified, [part], [rectified]))
        parts.append(made[-1].outputs[0])
    blocks = f"{result[0]}/blocks"
    made.append(Op("Concat", blocks, parts, [blocks], {"axis": 1}))
    made.append(Op("DepthToSpace", op.name, [blocks], list(result), {"blocksize": _STRIDE, "mode": "DCR"}))
    return made
