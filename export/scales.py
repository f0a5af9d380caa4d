"""Scales: what real value an 8-bit integer of a tensor stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from export.regions import CARRIES, Constants, Region, clip_bounds, constants_of, data_inputs

__all__ = ["Scale", "tied", "watched"]

_MIN_SPAN = 1e-6  # a tensor that never leaves zero still needs a scale


@dataclass(frozen=True, slots=True)
class Scale:
    """real = (stored - zero) * scale, with `stored` uint8, or int8 when `signed`."""

    scale: float
    zero: int
    signed: bool

    @classmethod
    def spanning(cls, low: float, high: float, *, signed: bool) -> Scale:
        """256 levels from `low` to `high`, widened to hold an exact zero."""
        low, high = min(low, 0.0), max(high, 0.0)
        span = max(high - low, _MIN_SPAN)
        # onnxruntime computes with float32 scales, so the zero point is rounded against that.
        scale = float(np.float32(span / 255))
        zero = int(np.clip(round(-low / scale), 0, 255))
        return cls(scale, zero - 128 if signed else zero, signed)

    @property
    def low(self) -> float:
        """The least value that can be stored."""
        return ((-128 if self.signed else 0) - self.zero) * self.scale

    @property
    def high(self) -> float:
        """The greatest value that can be stored."""
        return ((127 if self.signed else 255) - self.zero) * self.scale


def watched(graph: onnx.GraphProto, region: Region) -> list[str]:
    """The tensors that get a scale, hence whose range must be known."""
    constants = constants_of(graph)
    names: dict[str, None] = {}
    for i in sorted(region.nodes):
        node = graph.node[i]
        if i not in region.fused:
            names.update(dict.fromkeys(data_inputs(node, constants)))
        if i not in region.fused.values() and i not in region.float_out and i not in region.ends:
            names.update(dict.fromkeys(node.output))
    return list(names)


def tied(
    graph: onnx.GraphProto, region: Region, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Ranges, with one for all tensors between which values are only moved.

    A concatenation's input keeps a range of its own when sharing would undo an activation before it: a rectifier's
    result stored with room for negative values is not rectified by saturation any more.
    """
    constants = constants_of(graph)
    root: dict[str, str] = {}
    bounds = _bounds(graph, region, constants)
    ranges = {name: _within(span, bounds.get(name)) for name, span in ranges.items()}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            name = root[name]
        return name

    for i in sorted(region.nodes):
        node = graph.node[i]
        if node.op_type not in CARRIES:
            continue
        sources = data_inputs(node, constants)
        if node.op_type == "Concat":
            low, high = ranges[node.output[0]]
            sources = [n for n in sources if n not in bounds or (low >= bounds[n][0] and high <= bounds[n][1])]
        for name in (*sources, *node.output[1:]):
            root[find(name)] = find(node.output[0])
    spans: dict[str, tuple[float, float]] = {}
    for name, (low, high) in ranges.items():
        a, b = spans.get(find(name), (low, high))
        spans[find(name)] = min(a, low), max(b, high)
    return {name: spans[find(name)] for name in ranges}


def _bounds(graph: onnx.GraphProto, region: Region, constants: Constants) -> dict[str, tuple[float, float]]:
    """The limits of what an activation made, and of what is carried on from there."""
    found: dict[str, tuple[float, float]] = {}
    for i in sorted(region.nodes):
        node = graph.node[i]
        if i in region.fused:
            found[node.output[0]] = clip_bounds(node, constants)
            continue
        sources = data_inputs(node, constants)
        if node.op_type in CARRIES and all(name in found for name in sources):
            limits = [found[name] for name in sources]
            found.update(dict.fromkeys(node.output, (min(a for a, _ in limits), max(b for _, b in limits))))
    return found


def _within(span: tuple[float, float], limits: tuple[float, float] | None) -> tuple[float, float]:
    """A range that left room beyond what can occur, without that."""
    return span if limits is None else (max(span[0], limits[0]), min(span[1], limits[1]))
