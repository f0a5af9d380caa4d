"""Describing a piece of graph by what it consists of, and finding its parts.

A pattern is written as the expression it stands for: `op("Concat", any_("left"), any_("right"), dim="1")`. The same
name must stand for the same value wherever it occurs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from export.graph import Graph, Ref

__all__ = ["Pattern", "any_", "matches", "op"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """An operator (None: any value) with attributes and inputs (None: any), remembered under a name."""

    op: str | None
    inputs: tuple[Pattern, ...] | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


def op(kind: str, *inputs: Pattern, name: str = "", **attrs: str) -> Pattern:
    """A node of this operator with these attributes; without inputs any will do."""
    return Pattern(kind, inputs or None, attrs, name)


def any_(name: str = "") -> Pattern:
    """Any value at all."""
    return Pattern(None, name=name)


def matches(graph: Graph, ref: Ref, pattern: Pattern) -> dict[str, Ref] | None:
    """What the names in the pattern stand for, or None when the graph is something else there."""
    found: dict[str, Ref] = {}
    return found if _matches(graph, ref, pattern, found) else None


def _matches(graph: Graph, ref: Ref, pattern: Pattern, found: dict[str, Ref]) -> bool:
    if pattern.name and found.setdefault(pattern.name, ref) != ref:
        return False
    node = graph.node(ref)
    if pattern.op is None:
        return True
    if node.op != pattern.op or any(not _same(node.values.get(key), value) for key, value in pattern.attrs.items()):
        return False
    if pattern.inputs is None:
        return True
    return len(node.inputs) == len(pattern.inputs) and all(
        _matches(graph, each, part, found) for each, part in zip(node.inputs, pattern.inputs, strict=True)
    )


def _same(written: str | None, wanted: str) -> bool:
    """Attributes are strings: `2` and `2.0`, `(1,2)` and `(1, 2)` mean the same."""
    if written is None:
        return wanted == "None"
    try:
        return float(written) == float(wanted)
    except ValueError:
        return written.replace(" ", "") == wanted.replace(" ", "")
