"""Charts as inline SVG that takes its colours from the page it stands in: no script, no image, no font of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "Range", "bars", "columns", "ranges"]

_ROW = 28
_LINE = 24
_LONGEST = 68  # per cent of the width, of a bar: its number stands behind it

# Places across are in per cent and the picture has no view box: it is as wide as the page lets it be, and its words are
# as large as the page's on a phone too.


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `text` stands at its end; `kind` is a class of the style sheet."""

    label: str
    value: float
    text: str
    kind: str = "quantized"


@dataclass(frozen=True, slots=True)
class Range:
    """A value with the interval it lies in, if one is known."""

    label: str
    value: float
    interval: tuple[float, float] | None
    kind: str = "quantized"


def bars(rows: Sequence[Bar], *, title: str) -> str:
    """Horizontal bars from zero, one below the other; a label stands above its bar, and those without one go together."""
    top = max((row.value for row in rows), default=0) or 1.0
    parts = []
    y = 0
    for row in rows:
        if row.label:
            y += _LINE + (6 if y else 0)
            parts.append(f'<text class="soft" x="0" y="{y - 6}">{escape(row.label)}</text>')
        length = max(0.3, _LONGEST * row.value / top)
        parts.append(
            f'<rect class="{row.kind}" x="0" y="{y + 2}" width="{length:.2f}%" height="{_ROW - 8}" rx="3"/>'
            f'<text class="value" x="{length:.2f}%" dx="8" y="{y + 17}">{escape(row.text)}</text>'
        )
        y += _ROW
    return _svg(y, parts, title)


def ranges(rows: Sequence[Range], *, title: str, percent: bool = True) -> str:
    """Dots with whiskers on a common scale, which begins where the lowest whisker does."""
    ends: list[float] = [v for row in rows for v in (row.value, *(row.interval or ()))]
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.08 or 0.01
    low, high = max(0.0, low - margin), min(high + margin, max(1.0, high)) if percent else high + margin
    scale: float = high - low
    left, room = 14.0, 84.0  # names are short here

    def at(value: float) -> float:
        return left + room * (value - low) / scale

    def name(value: float) -> str:
        return f"{value * 100:.1f} %" if percent else f"{value:.3g}"

    height = len(rows) * 38
    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        x = at(value)
        parts.append(f'<line class="grid" x1="{x:.2f}%" y1="0" x2="{x:.2f}%" y2="{height}"/>')
        where = "end" if step == 4 else "tick"
        if step % 2 == 0:
            parts.append(f'<text class="{where}" x="{x:.2f}%" y="{height + 18}">{name(value)}</text>')
    for n, row in enumerate(rows):
        y = n * 38 + 21
        parts.append(f'<text class="label" x="{left - 3:.2f}%" y="{y + 4}">{escape(row.label)}</text>')
        if row.interval is not None:
            a, b = (at(v) for v in row.interval)
            parts.append(f'<line class="whisker {row.kind}" x1="{a:.2f}%" y1="{y}" x2="{b:.2f}%" y2="{y}"/>')
            parts += [
                f'<line class="whisker {row.kind}" x1="{x:.2f}%" y1="{y - 5}" x2="{x:.2f}%" y2="{y + 5}"/>'
                for x in (a, b)
            ]
        parts.append(
            f'<circle class="{row.kind}" cx="{at(row.value):.2f}%" cy="{y}" r="6"><title>{name(row.value)}</title></circle>'
            f'<text class="value {_side(at(row.value))}" x="{at(row.value):.2f}%" y="{y - 10}">{name(row.value)}</text>'
        )
    return _svg(height + 26, parts, title)


def _side(x: float) -> str:
    """Where a word at x per cent has room."""
    return "above end" if x > 88 else "above"


def columns(rows: Sequence[Bar], *, title: str, unit: str) -> str:
    """Many thin columns side by side, their names shown when pointed at."""
    height, left = 170, 8.0
    top = max((row.value for row in rows), default=0) or 1.0
    width = (100 - left) / max(1, len(rows))
    parts = []
    for step in range(5):
        y = height - height * step / 4
        parts.append(f'<line class="grid" x1="{left}%" y1="{y:.1f}" x2="100%" y2="{y:.1f}"/>')
        parts.append(f'<text class="label" x="{left - 1.5}%" y="{y + 4:.1f}">{top * step / 4:.0f}</text>')
    for n, row in enumerate(rows):
        size = max(1.0, height * max(0.0, row.value) / top)
        parts.append(
            f'<rect class="{row.kind}" x="{left + n * width + width * 0.1:.3f}%" y="{height - size:.1f}" '
            f'width="{width * 0.8:.3f}%" height="{size:.1f}"><title>{escape(f"{row.label}: {row.text}")}</title></rect>'
        )
    parts.append(f'<text class="tick" x="{left + (100 - left) / 2:.0f}%" y="{height + 20}">{escape(unit)}</text>')
    return _svg(height + 28, parts, title)


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg height="{height + 12}" role="img" aria-label="{escape(title, quote=True)}">'
        f'<title>{escape(title)}</title><g transform="translate(0 10)">{"".join(parts)}</g></svg>'
    )
