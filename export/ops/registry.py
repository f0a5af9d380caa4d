"""Which function converts which MXNet operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from export.attrs import HOW_TO_ADD, Attrs
from export.build import Builder, Value
from export.errors import ExportError, UnsupportedError
from export.graph import Node

__all__ = ["Converter", "convert", "converts", "registered"]

Converter = Callable[[Builder, Sequence[Value], Attrs], Value | Sequence[Value]]

# What is registered keeps its own type, so that one converter can call another.
C = TypeVar("C", bound=Converter)

_CONVERTERS: Final[dict[str, Converter]] = {}


def converts(*operators: str) -> Callable[[C], C]:
    """Register a function as the converter of these MXNet operators.

    The function gets the builder, the node's inputs and a typed reader of its attributes; it emits ONNX operations
    and returns the node's output, or its outputs in MXNet's order.

    Raises:
        ValueError: one of the operators has a converter already.
    """

    def register(function: C) -> C:
        for operator in operators:
            if operator in _CONVERTERS:
                raise ValueError(f"operator {operator} is registered twice")
            _CONVERTERS[operator] = function
        return function

    return register


def registered() -> frozenset[str]:
    """Every operator that has a converter."""
    return frozenset(_CONVERTERS)


def convert(builder: Builder, node: Node, inputs: Sequence[Value]) -> list[Value]:
    """Convert one node.

    Raises:
        UnsupportedError: the operator, one of its attributes, or an attribute's value is not known.
    """
    converter = _CONVERTERS.get(node.op)
    if converter is None:
        raise UnsupportedError(
            f"operator {node.op} of node {node.name!r} is not supported; {HOW_TO_ADD}", op=node.op, node=node.name
        )
    attrs = node.attrs()
    try:
        result = converter(builder, inputs, attrs)
    except ExportError:
        raise
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as exc:
        # A damaged or foreign symbol: what the converter took for granted does not hold.
        raise attrs.refuse(f"its attributes do not fit its {len(inputs)} inputs ({exc})") from exc
    if unread := attrs.unread():
        raise attrs.unsupported(unread[0], "the converter does not know this attribute")
    return [result] if isinstance(result, Value) else list(result)
