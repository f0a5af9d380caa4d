"""Regions of a feature pyramid: each aligned on its own level, instead of all of them on every level.

GluonCV aligns every region on every level, and adds what belongs to the level, in one of two ways:

    sum over l of  where(level == l, align(feature_l, regions), 0)
    sum over l of  align(feature_l, where(level == l, regions, -1))      with align(-1) = 0

Requires: exactly one of these, with the same level and regions in every term. The sum becomes one operator of ours
that gathers each level's regions, aligns them, and puts the results back in their places. The second form is what
training leaves behind, and MXNet's own CPU kernel leaves the masked rows uninitialised.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from export.graph import Graph, Node
from export.heads.pattern import any_, matches, op

__all__ = ["OPERATOR", "dispatch_levels"]

OPERATOR: Final = "_edge_pyramid_roi_align"
_REGIONS: Final = any_("regions")
_IS_LEVEL: Final = op("_equal_scalar", any_("level"), name="is_level")
_MASKED: Final = op("where", _IS_LEVEL, _REGIONS, op("_mul_scalar", op("ones_like", _REGIONS), scalar="-1"))
_ALIGNED: Final = op("_contrib_ROIAlign", any_("feature"), _REGIONS, name="aligned")
_TERMS: Final = (
    op("where", _IS_LEVEL, _ALIGNED, op("zeros_like", _ALIGNED)),
    op("_contrib_ROIAlign", any_("feature"), _MASKED, name="aligned"),
)
_SHARED: Final = ("pooled_size", "sample_ratio", "aligned")


def dispatch_levels(graph: Graph) -> Graph:
    """The graph with every such sum replaced; positions of nodes stay what they were."""
    nodes = tuple(_dispatched(graph, node) or node for node in graph.nodes)
    return replace(graph, nodes=nodes)


def _dispatched(graph: Graph, node: Node) -> Node | None:
    if node.op not in {"add_n", "ElementWiseSum"}:
        return None
    found = [matches(graph, ref, term) for ref in node.inputs for term in _TERMS]
    terms = [match for match in found if match is not None]
    if len(terms) != len(node.inputs) or len({(match["level"], match["regions"]) for match in terms}) != 1:
        return None
    aligned = [graph.node(match["aligned"]) for match in terms]
    shared = {key: aligned[0].values[key] for key in _SHARED if key in aligned[0].values}
    if any({key: each.values[key] for key in _SHARED if key in each.values} != shared for each in aligned):
        return None
    levels = [graph.node(match["is_level"]).values.get("scalar", "") for match in terms]
    if len(set(levels)) != len(levels):
        return None
    first = terms[0]
    return Node(
        op=OPERATOR,
        name=node.name,
        inputs=(first["level"], first["regions"], *(match["feature"] for match in terms)),
        values={
            **shared,
            "levels": f"({', '.join(levels)},)",
            "spatial_scales": f"({', '.join(each.values['spatial_scale'] for each in aligned)},)",
        },
    )
