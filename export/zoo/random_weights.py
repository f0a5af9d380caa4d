"""Random weights that behave like trained ones: statistics fit, scores spread, rounding does not grow.

Without this, activations explode or die with depth, every class scores the same, and suppression never has
anything to suppress: a converter would pass tests that it should fail.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from export.graph import Array, Graph, Ref
from export.zoo.run import internals

__all__ = ["draw", "settle"]

# Spread of the last layer's outputs: wide enough that the best class stands out, box offsets that move boxes by
# some tenths of an anchor.
_LOGIT_SPREAD: Final = 2.5
_ANCHOR_SPREAD: Final = 1.0
_REGION_SPREAD: Final = 5.0
_OFFSET_SPREAD: Final = 1.0
# How far a region's best class may be ahead of the next: far beyond, softmax gives one and the same float32 to many
# regions, and their order is rounding's.
_MOST_AHEAD: Final = 10.0
_RESIDUAL_GAIN: Final = 0.3
_WEIGHTED: Final = {"Convolution", "FullyConnected", "Deconvolution"}


def draw(name: str, shape: tuple[int, ...], random: np.random.Generator) -> Array | None:
    """A random value for one parameter by its role, float32; None for parameters whose content has a meaning."""
    fan_in = int(np.prod(shape[1:])) or 1
    roles = {
        "running_mean": lambda: np.zeros(shape),
        "running_var": lambda: np.ones(shape),
        "gamma": lambda: random.uniform(0.7, 1.3, shape),
        "alpha": lambda: random.uniform(0.1, 0.4, shape),
        # Most channels stay on the straight side of their ReLU: otherwise each layer multiplies rounding by 1.2.
        "beta": lambda: random.normal(0.6, 0.4, shape),
        "bias": lambda: random.normal(0, 0.1, shape),
        "weight": lambda: random.normal(0, (2 / fan_in) ** 0.5, shape),
    }
    role = next((role for role in roles if name.endswith(role)), None)
    return None if role is None else np.asarray(roles[role](), np.float32)


def settle(symbol: Any, graph: Graph, params: dict[str, Array], feeds: dict[str, Array]) -> None:
    """Change `params` in place, so that the net behaves.

    BatchNorm statistics become what one training pass sees, residual branches are damped, last layers are scaled.
    """
    _damp_residuals(graph, params)
    normalized = {node.inputs[0] for node in graph.nodes if "BatchNorm" in node.op}
    _calibrate(graph, params, internals(symbol, graph, feeds, training=True, only=normalized))
    ends = {Ref(index, 0) for index in _last_layers(graph, [ref.node for ref in graph.heads])}
    _scale_heads(graph, params, internals(symbol, graph, feeds, only=ends))


def _damp_residuals(graph: Graph, params: dict[str, Array]) -> None:
    # Every residual block multiplies rounding errors; a branch that adds little multiplies them little.
    for node in graph.nodes:
        if node.op not in {"elemwise_add", "_plus", "broadcast_add"}:
            continue
        branches = [graph.node(ref) for ref in node.inputs if "BatchNorm" in graph.node(ref).op]
        if len(branches) >= 1:
            gamma = graph.node(branches[0].inputs[1]).name
            if gamma in params:
                params[gamma] = params[gamma] * np.float32(_RESIDUAL_GAIN)


def _calibrate(graph: Graph, params: dict[str, Array], values: dict[Ref, Array]) -> None:
    for node in graph.nodes:
        if "BatchNorm" not in node.op or node.inputs[0] not in values:
            continue
        seen = values[node.inputs[0]].astype(np.float64)
        axis = int(node.values.get("axis", "1")) % seen.ndim
        others = tuple(dim for dim in range(seen.ndim) if dim != axis)
        mean, variance = (graph.node(ref).name for ref in node.inputs[3:5])
        params[mean] = seen.mean(others).astype(np.float32)
        # A floor from all channels together: two pictures of one pixel each say little about any one of them.
        samples = seen.size / seen.shape[axis]
        floor = (0.1 + 16 / samples) * (seen * seen).mean() + 1e-3
        params[variance] = (seen.var(others) + floor).astype(np.float32)


def _scale_heads(graph: Graph, params: dict[str, Array], values: dict[Ref, Array]) -> None:
    offsets = _last_layers(graph, [index for index, node in enumerate(graph.nodes) if node.op == "_contrib_box_decode"])
    ops = {node.op for node in graph.nodes}
    # Thousands of anchors compete: with the spread of a classifier all the best scores would be 1. In two stages the
    # regions are few and alike, and a wide spread keeps rounding from deciding which of them are taken.
    anchors = "_contrib_box_nms" in ops and "_contrib_ROIAlign" not in ops
    logits = _ANCHOR_SPREAD if anchors else _REGION_SPREAD if "_contrib_ROIAlign" in ops else _LOGIT_SPREAD
    layers = _last_layers(graph, [ref.node for ref in graph.heads])
    scaled: set[str] = set()
    for index in sorted(layers):
        node = graph.nodes[index]
        # By the far end, not by the deviation: random features have long tails, trained heads have not.
        spread = float(np.quantile(np.abs(values[Ref(index, 0)]), 0.999)) / 3
        if not np.isfinite(spread) or spread == 0:
            continue
        factor = (_OFFSET_SPREAD if index in offsets else logits) / spread
        if node.op == "FullyConnected" and index not in offsets and "_contrib_ROIAlign" in ops:
            factor = min(factor, _MOST_AHEAD / _lead(values[Ref(index, 0)]))
        for ref in node.inputs[1:]:
            name = graph.node(ref).name
            # Levels of a pyramid share their weights.
            if name in params and name not in scaled:
                params[name] = params[name] * np.float32(factor)
                scaled.add(name)


def _lead(logits: Array) -> float:
    """How far the best class is ahead of the next, over rows [n, classes]: the most."""
    if logits.shape[-1] < 2:
        return 1e-30
    second, best = np.partition(logits.astype(np.float64), -2)[..., -2:].T
    return max(1e-30, float((best - second).max()))


def _last_layers(graph: Graph, starts: list[int]) -> set[int]:
    """The layers with weights that are reached from `starts` without passing another one."""
    found: set[int] = set()
    seen: set[int] = set()
    pending = list(starts)
    while pending:
        index = pending.pop()
        if index in seen:
            continue
        seen.add(index)
        if graph.nodes[index].op in _WEIGHTED:
            found.add(index)
        else:
            pending.extend(ref.node for ref in graph.nodes[index].inputs)
    return found
