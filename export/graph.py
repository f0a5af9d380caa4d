"""A saved MXNet model in memory: nodes in topological order, heads, weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from export.attrs import Attrs

__all__ = ["Array", "Graph", "Node", "Ref"]

Array = NDArray[Any]


class Ref(NamedTuple):
    """One output of one node, by position: names are not unique in MXNet."""

    node: int
    output: int


@dataclass(frozen=True, slots=True)
class Node:
    """One operator, or a variable when `op` is 'null'."""

    op: str
    name: str
    inputs: tuple[Ref, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_variable(self) -> bool:
        """Whether this is an input or a weight rather than an operator."""
        return self.op == "null"

    def attrs(self) -> Attrs:
        """A fresh reader of the attributes."""
        return Attrs(self.values, op=self.op, node=self.name)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes, what is asked of them (`heads`), the weights by variable name, and where both came from."""

    nodes: tuple[Node, ...]
    heads: tuple[Ref, ...]
    params: Mapping[str, Array]
    digests: Mapping[str, str] = field(default_factory=dict)
    origin: str = "model"

    @property
    def digest(self) -> str:
        """SHA-256 of the weights' file; empty for a graph that was built in memory."""
        return self.digests.get("params", "")

    def node(self, ref: Ref) -> Node:
        """The node that a reference points to."""
        return self.nodes[ref.node]

    def reachable(self, heads: Iterable[Ref] | None = None, *, given: Collection[Ref] = ()) -> list[int]:
        """Positions of the nodes that the heads need, in topological order, not going beyond the values given."""
        wanted = {ref.node for ref in (self.heads if heads is None else heads) if ref not in given}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index in wanted:
                wanted.update(ref.node for ref in self.nodes[index].inputs if ref not in given)
        return sorted(wanted)

    def free_variables(self) -> list[str]:
        """Variables that the heads need and that no weight fills: the inputs."""
        return [
            self.nodes[index].name
            for index in self.reachable()
            if self.nodes[index].is_variable and self.nodes[index].name not in self.params
        ]

    def with_heads(self, heads: Sequence[Ref]) -> Graph:
        """The same graph, asked for other values."""
        return replace(self, heads=tuple(heads))

    def output_name(self, ref: Ref) -> str:
        """MXNet's own name of a value: `<node>_output`, numbered when the node is asked for more than its first."""
        node = self.nodes[ref.node]
        if node.is_variable:
            return node.name
        return f"{node.name}_output{ref.output or ''}"
