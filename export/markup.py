"""Pieces of a page: what is text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["breakable", "listed", "section", "table"]


def section(title: str, body: str) -> str:
    """A part of the page; `body` is markup."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a column whose title begins with '#' holds numbers."""
    kinds = [' class="number"' if title.startswith("#") else ' class="name"' for title in head]
    top = "".join(f"<th{kind}>{escape(title.lstrip('#'))}</th>" for title, kind in zip(head, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{breakable(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    header = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table>{header}<tbody>{body}</tbody></table></div>'


def breakable(text: str) -> str:
    """As text of the page; a long name may go on in the next line after an underscore."""
    return escape(text).replace("_", "_<wbr>")


def listed(items: Sequence[str], kind: str) -> str:
    """A list of texts; nothing where there are none."""
    return f'<ul class="{kind}">{"".join(f"<li>{escape(item)}</li>" for item in items)}</ul>' if items else ""
