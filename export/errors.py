"""What can go wrong between a saved MXNet model and a bundle, as one family of errors with one-line messages."""

from __future__ import annotations

__all__ = ["ExportError", "SourceError", "UnsupportedError"]


class ExportError(ValueError):
    """The thing asked cannot be done as asked; the message names what and says what to do."""


class SourceError(ExportError):
    """A symbol or parameter file is missing, damaged, foreign, or does not fit its counterpart."""


class UnsupportedError(ExportError):
    """An operator, or an attribute's value, that the converter does not know.

    Attributes:
        op: the MXNet operator's name.
        node: the node's name in the symbol.
        attribute: the attribute concerned, or None when the operator itself is unknown.
    """

    def __init__(self, message: str, *, op: str, node: str, attribute: str | None = None) -> None:
        super().__init__(message)
        self.op = op
        self.node = node
        self.attribute = attribute
