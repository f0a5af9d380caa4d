"""A net that computes in half precision becomes one that computes in single, as its weights do when they are read.

Training in float16 casts the picture first and the scores last; automatic mixed precision casts around each layer. MXNet
itself runs neither on a CPU, so the single-precision net is also what the conversion is verified against.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from export.graph import Graph, Node

__all__ = ["in_single_precision"]

_HALF: Final = "float16"


def in_single_precision(graph: Graph) -> Graph:
    """The graph whose nodes give float32 where they said float16; the very same object where none does.

    A cast to float16 in a net whose weights are wider is the net's own rounding, and stays.
    """
    halved = any(array.dtype == np.float16 for array in graph.params.values())
    nodes = tuple(_wider(node) if halved or node.op.startswith("amp_") else node for node in graph.nodes)
    return (
        graph if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)) else replace(graph, nodes=nodes)
    )


def _wider(node: Node) -> Node:
    return node if node.values.get("dtype") != _HALF else replace(node, values={**node.values, "dtype": "float32"})
