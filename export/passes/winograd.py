"""Convolutions computed tile by tile with fewer multiplications, as onnxruntime's CPU kernels do not by themselves.

Winograd's minimal filtering (Lavin and Gray, 2015, https://arxiv.org/abs/1509.09308): m x m outputs of an r x r
convolution are Y = A [ (G g G') * (B d B') ] A', with d the n x n inputs under them, n = m + r - 1, and * number by number.
Over all channels each of the n^2 places of a tile is a matrix product of its own, so that an output takes n^2 / m^2
multiplications a channel instead of r^2: a 3x3 convolution 2.25 (m = 4) to 4 (m = 2) instead of 9.

Everything is in the graph. B d B' is two depthwise convolutions, along columns and rows, that step from tile to tile. G g G' is
computed from the weights, which stay in the file as they are, when a runtime loads it and folds what is constant. A...A' is
two small products, and one transposition, of whole pixels, lays the tiles side by side. A 1x1 depthwise convolution of ones adds
the bias, brings the result back to onnxruntime's blocked layout, and takes in the activation and the addition behind it.

Requires: weights that are constant, square kernels of 2 or 3, stride 1, no dilation, one group, a known size. Ensures: those of
them are replaced for which that is faster by the costs below; the values are the same but for rounding, 3e-6 of the
largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from export.graph import Array
from export.passes.shapes import shapes
from export.passes.tiles import Tile
from export.program import Op, Program

__all__ = ["Layer", "fastest", "winograd"]

# Outputs a tile, along one axis.
_CHOICES: Final = {2: (3,), 3: (2, 3, 4)}
# onnxruntime's vectors hold 16 channels (AVX-512; 8 and 4 elsewhere).
_BLOCK: Final = 16

# Seconds on one thread of an x86-64 processor with AVX-512, weights not in its caches: a multiplication with its
# addition in a convolution, and in a product; a byte of weights; a number that goes into a product, and one that comes out;
# a node. `python -m benchmarks winograd` shows how well they fit.
_DIRECT: Final = 1 / 50e9
_PRODUCT: Final = 1 / 44e9
_WEIGHT: Final = 1 / 9e9
_INPUT: Final = 1.6e-9
_OUTPUT: Final = 1.3e-9
_NODE: Final = 1e-6
# Of what the convolution takes as it is.
_WORTH: Final = 0.85


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution that could be replaced: the size of its output, the padding above and left of its input."""

    op: Op
    weight: Array
    height: int
    width: int
    pads: tuple[int, int]
    input_hw: tuple[int, int]

    @property
    def channels(self) -> tuple[int, int]:
        """Out, in."""
        return int(self.weight.shape[0]), int(self.weight.shape[1])

    def tiles(self, m: int) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return math.ceil(self.height / m), math.ceil(self.width / m)

    def seconds(self, m: int) -> float:
        """What it costs with tiles of m x m outputs; of 1: as it is."""
        out, into = self.channels
        kernel = int(self.weight.shape[2])
        if m == 1:
            return kernel**2 * out * into * self.height * self.width * _DIRECT
        n = m + kernel - 1
        count = math.prod(self.tiles(m))
        product = out * into * max(count * _PRODUCT, 4 * _WEIGHT)
        return n * n * (product + count * (into * _INPUT + out * _OUTPUT) + 4 * _NODE)


def winograd(program: Program, choose: Callable[[Layer], int] | None = None) -> int:
    """Replace the convolutions for which it is worth it; how many they are.

    Args:
        program: what is rewritten.
        choose: how many outputs, along one axis, a layer's tiles have; 1 leaves it as it is. By default what costs least.
    """
    choose = fastest if choose is None else choose
    sizes = shapes(program)
    rewrite = _Rewrite(program)
    count = 0
    ops: list[Op] = []
    for op in program.ops:
        layer = _layer(program, op, sizes)
        m = 1 if layer is None else choose(layer)
        if layer is None or m == 1:
            ops.append(op)
        else:
            ops += rewrite.tiled(layer, Tile.of(m, int(layer.weight.shape[2])))
            count += 1
    program.ops = ops
    program.prune()
    return count


def _layer(program: Program, op: Op, sizes: dict[str, tuple[int | None, ...]]) -> Layer | None:
    weight = program.constants.get(op.inputs[1]) if op.type == "Conv" else None
    if weight is None or weight.ndim != 4 or weight.dtype != np.float32 or "auto_pad" in op.attrs:
        return None
    kernel = weight.shape[2:]
    plain = op.attrs.get("group", 1) == 1 and {*op.attrs.get("dilations", [1]), *op.attrs.get("strides", [1])} == {1}
    if not plain or kernel[0] != kernel[1] or kernel[0] not in _CHOICES or any(c % _BLOCK for c in weight.shape[:2]):
        return None
    found = sizes.get(op.outputs[0], ())
    if len(found) != 4 or found[2] is None or found[3] is None:
        return None
    top, left, bottom, right = op.attrs.get("pads", [0] * 4)
    height, width = found[2], found[3]
    before = height + kernel[0] - 1 - top - bottom, width + kernel[1] - 1 - left - right
    return Layer(op, weight, height, width, (top, left), before)


def fastest(layer: Layer) -> int:
    """How many outputs, along one axis, the tiles of the cheapest way have; 1 where that is the convolution itself."""
    choices = _CHOICES[int(layer.weight.shape[2])]
    best = min(choices, key=layer.seconds)
    return best if layer.seconds(best) < _WORTH * layer.seconds(1) else 1


class _Rewrite:
    """Emits the tiled form of one convolution after another; depthwise kernels are shared between them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._scope = ""

    def tiled(self, layer: Layer, tile: Tile) -> list[Op]:
        """The operations that give the result of `layer`, under its name."""
        self._scope = f"{layer.op.outputs[0]}/winograd"
        out, _ = layer.channels
        ops: list[Op] = []
        products = list(self._products(layer, tile, ops))
        found = self._assembled(ops, products, layer, tile)
        ones = self._shared(f"winograd/ones_{out}", np.ones((out, 1, 1, 1)))
        inputs = [found, ones, *layer.op.inputs[2:]]
        ops.append(Op("Conv", layer.op.name, inputs, list(layer.op.outputs), {"group": out, "kernel_shape": [1, 1]}))
        return ops

    def _products(self, layer: Layer, tile: Tile, ops: list[Op]) -> Iterator[str]:
        """For each place of a tile: the inputs there times the weights there, [N, rows, columns, out]."""
        _, into = layer.channels
        weights = self._weights(layer, tile, ops)
        top, left = layer.pads
        rows, columns = layer.tiles(tile.m)
        # Down to the end of the last tile, which may lie beyond what the convolution itself reads.
        bottom = (rows - 1) * tile.m + tile.n - layer.input_hw[0] - top
        right = (columns - 1) * tile.m + tile.n - layer.input_hw[1] - left
        for i in range(tile.n):
            name, taps_i = f"column{i}", self._depthwise(tile, i, into, axis=2)
            column = {"kernel_shape": [tile.n, 1], "strides": [tile.m, 1], "pads": [top, left, bottom, right]}
            down = self._op(ops, "Conv", name, layer.op.inputs[0], taps_i, group=into, **column)
            for j in range(tile.n):
                name, taps_j = f"input{i}{j}", self._depthwise(tile, j, into, axis=3)
                row = {"kernel_shape": [1, tile.n], "strides": [1, tile.m]}
                here = self._op(ops, "Conv", name, down, taps_j, group=into, **row)
                here = self._op(ops, "Transpose", f"pixels{i}{j}", here, perm=[0, 2, 3, 1])
                yield self._op(ops, "MatMul", f"product{i}{j}", here, weights[i * tile.n + j])

    def _weights(self, layer: Layer, tile: Tile, ops: list[Op]) -> list[str]:
        """The weights of each place, [in, out], from those of the convolution, [out, in, r, r]."""
        out, into = layer.channels
        count = tile.n**2
        found = self._op(ops, "Transpose", "turned", layer.op.inputs[1], perm=[2, 3, 1, 0])
        found = self._op(ops, "Reshape", "taps", found, self._ints("taps_as", [tile.r**2, into * out]))
        g = self._shared(f"winograd/{tile.m}x{tile.r}/G", np.kron(tile.g, tile.g))
        found = self._op(ops, "MatMul", "weights", g, found)
        found = self._op(ops, "Reshape", "matrices", found, self._ints("matrices_as", [count * into, out]))
        names = [f"{self._scope}/weight{place}" for place in range(count)]
        ops.append(Op("Split", f"{self._scope}/split", [found], names, {"axis": 0}))
        return names

    def _assembled(self, ops: list[Op], products: list[str], layer: Layer, tile: Tile) -> str:
        """The n n products to [N, out, height, width]: A along columns, A along rows, tile beside tile."""
        m, n = tile.m, tile.n
        out, _ = layer.channels
        rows, columns = layer.tiles(m)
        a = self._shared(f"winograd/{m}x{tile.r}/A", tile.a)
        found = self._op(ops, "Concat", "places", *products, axis=0)
        found = self._op(ops, "Reshape", "by_row", found, self._ints("by_row_as", [n, -1]))
        found = self._op(ops, "MatMul", "rows", a, found)
        found = self._op(ops, "Reshape", "by_column", found, self._ints("by_column_as", [m, n, -1]))
        found = self._op(ops, "MatMul", "columns", a, found)
        found = self._op(ops, "Reshape", "tiles", found, self._ints("tiles_as", [m, m, -1, columns, out]))
        found = self._op(ops, "Transpose", "lines", found, perm=[2, 0, 3, 1, 4])
        found = self._op(ops, "Reshape", "whole", found, self._ints("whole_as", [-1, rows * m, columns * m, out]))
        if (rows * m, columns * m) != (layer.height, layer.width):
            bounds = (("from", [0, 0]), ("to", [layer.height, layer.width]), ("axes", [1, 2]))
            found = self._op(ops, "Slice", "crop", found, *(self._ints(*bound) for bound in bounds))
        return self._op(ops, "Transpose", "first", found, perm=[0, 3, 1, 2])

    def _depthwise(self, tile: Tile, row: int, channels: int, *, axis: int) -> str:
        shape = (1, 1, tile.n, 1) if axis == 2 else (1, 1, 1, tile.n)
        taps = np.tile(tile.b[row].reshape(shape), (channels, 1, 1, 1))
        return self._shared(f"winograd/{tile.m}x{tile.r}/B{row}_{'column' if axis == 2 else 'row'}_{channels}", taps)

    def _shared(self, name: str, value: Array) -> str:
        """A constant that several layers read."""
        self._program.constants.setdefault(name, np.ascontiguousarray(value, np.float32))
        return name

    def _ints(self, name: str, value: list[int]) -> str:
        key = f"{self._scope}/{name}"
        self._program.constants[key] = np.asarray(value, np.int64)
        return key

    def _op(self, ops: list[Op], kind: str, name: str, *inputs: str, **attrs: object) -> str:
        made = f"{self._scope}/{name}"
        ops.append(Op(kind, made, list(inputs), [made], dict(attrs)))
        return made
