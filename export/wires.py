"""Who makes and who reads what in a finished 8-bit (QDQ) graph, and a convolution's integers in it.

For `export.stem`, `export.blocks` and `export.padding`, which shape the graph as somebody's fastest integer kernels want
it. They come last and move integers only, so that accuracy has nothing to do with them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.regions import Constants, constants_of

__all__ = ["Integers", "Stored", "Wires", "group_of", "set_attribute"]


class Wires:
    """Who makes and who reads each tensor of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants: Constants = constants_of(graph)
        self.made = {name: node for node in graph.node for name in node.output}
        self.outputs = {o.name for o in graph.output}
        self.read: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.read[name].append(node)

    def only_reader(self, name: str, op: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor, if it is an `op`."""
        readers = self.read[name]
        return readers[0] if len(readers) == 1 and name not in self.outputs and readers[0].op_type == op else None

    def stored(self, conv: onnx.NodeProto) -> onnx.NodeProto | None:
        """The DequantizeLinear that gives a convolution's result as it is stored in 8 bits, if nothing else reads it."""
        rounded = self.only_reader(conv.output[0], "QuantizeLinear")
        return None if rounded is None else self.only_reader(rounded.output[0], "DequantizeLinear")

    def integers(self, conv: onnx.NodeProto) -> Integers | None:
        """A convolution's parameters where it runs in 8 bits, and the graph holds them once for it alone."""
        sources = [self.made.get(name) for name in conv.input]
        if any(s is None or s.op_type != "DequantizeLinear" for s in sources):
            return None
        parts: list[Stored] = []
        for source in sources[1:]:
            assert source is not None  # noqa: S101  seen above
            if len(self.read[source.output[0]]) != 1 or any(name not in self.constants for name in source.input):
                return None
            values, scales, *zeros = (numpy_helper.to_array(self.constants[name]) for name in source.input)
            parts.append((values, scales, zeros[0] if zeros else np.zeros(scales.shape, values.dtype)))
        return Integers(*parts)


Stored = tuple[NDArray[np.generic], NDArray[np.generic], NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """`weights` [out, in / groups, h, w] int8 and `bias` [out] int32, each with its scales and zero points, [out] or []."""

    weights: Stored
    bias: Stored | None = None

    def write(self, wires: Wires, conv: onnx.NodeProto, name: str) -> None:
        """Give `conv` these."""
        for k, part in enumerate((self.weights, self.bias)):
            if part is None:
                continue
            node = wires.made[conv.input[k + 1]]
            # A bias has no zero points.
            for at, (value, what) in enumerate(zip(part[: len(node.input)], ("", "/scale", "/zero"), strict=False)):
                node.input[at] = f"{name}/{k}{what}"
                wires.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), node.input[at]))


def group_of(conv: onnx.NodeProto) -> int:
    """A convolution's number of groups."""
    return int(next((a.i for a in conv.attribute if a.name == "group"), 1))


def set_attribute(conv: onnx.NodeProto, name: str, value: int | list[int]) -> None:
    """Put a value in the place of an attribute's."""
    for attribute in [a for a in conv.attribute if a.name == name]:
        conv.attribute.remove(attribute)
    conv.attribute.append(helper.make_attribute(name, value))
