"""Charts as inline SVG that takes its colours from the page it stands in: no script, no image, no font of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "Range", "bars", "columns", "ranges"]

_WIDTH = 720
_LABEL = 228
_ROW = 30


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
    """Horizontal bars from zero, one below the other."""
    top = max((row.value for row in rows), default=0) or 1.0
    room = _WIDTH - _LABEL - 120
    parts = []
    for n, row in enumerate(rows):
        y = n * _ROW
        length = max(2.0, room * row.value / top)
        parts.append(
            f'<text class="label" x="{_LABEL - 10}" y="{y + 19}">{escape(row.label)}</text>'
            f'<rect class="{row.kind}" x="{_LABEL}" y="{y + 5}" width="{length:.1f}" height="{_ROW - 10}" rx="3"/>'
            f'<text class="value" x="{_LABEL + length + 8:.1f}" y="{y + 19}">{escape(row.text)}</text>'
        )
    return _svg(len(rows) * _ROW, parts, title)


def ranges(rows: Sequence[Range], *, title: str, percent: bool = True) -> str:
    """Dots with whiskers on a common scale, which begins where the lowest whisker does."""
    ends: list[float] = [v for row in rows for v in (row.value, *(row.interval or ()))]
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.08 or 0.01
    low, high = max(0.0, low - margin), min(high + margin, max(1.0, high)) if percent else high + margin
    scale: float = high - low
    left = 80  # names are short here
    room = _WIDTH - left - 40

    def at(value: float) -> float:
        return left + room * (value - low) / scale

    def name(value: float) -> str:
        return f"{value * 100:.1f} %" if percent else f"{value:.3g}"

    height = len(rows) * 38
    parts = []
    for step in range(5):
        value = low + (high - low) * step / 4
        x = at(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height + 18}">{name(value)}</text>')
    for n, row in enumerate(rows):
        y = n * 38 + 21
        parts.append(f'<text class="label" x="{left - 16}" y="{y + 4}">{escape(row.label)}</text>')
        if row.interval is not None:
            a, b = (at(v) for v in row.interval)
            parts.append(f'<line class="whisker {row.kind}" x1="{a:.1f}" y1="{y}" x2="{b:.1f}" y2="{y}"/>')
            parts += [
                f'<line class="whisker {row.kind}" x1="{x:.1f}" y1="{y - 5}" x2="{x:.1f}" y2="{y + 5}"/>'
                for x in (a, b)
            ]
        parts.append(
            f'<circle class="{row.kind}" cx="{at(row.value):.1f}" cy="{y}" r="6"><title>{name(row.value)}</title></circle>'
            f'<text class="value above" x="{at(row.value):.1f}" y="{y - 10}">{name(row.value)}</text>'
        )
    return _svg(height + 26, parts, title)


def columns(rows: Sequence[Bar], *, title: str, unit: str) -> str:
    """Many thin columns side by side, their names shown when pointed at."""
    height, left = 170, 44
    top = max((row.value for row in rows), default=0) or 1.0
    width = (_WIDTH - left) / max(1, len(rows))
    parts = []
    for step in range(5):
        y = height - height * step / 4
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{_WIDTH}" y2="{y:.1f}"/>')
        parts.append(f'<text class="label" x="{left - 6}" y="{y + 4:.1f}">{top * step / 4:.0f}</text>')
    for n, row in enumerate(rows):
        size = max(1.0, height * max(0.0, row.value) / top)
        parts.append(
            f'<rect class="{row.kind}" x="{left + n * width + width * 0.1:.2f}" y="{height - size:.1f}" '
            f'width="{width * 0.8:.2f}" height="{size:.1f}"><title>{escape(f"{row.label}: {row.text}")}</title></rect>'
        )
    parts.append(f'<text class="tick" x="{left + (_WIDTH - left) / 2:.0f}" y="{height + 20}">{escape(unit)}</text>')
    return _svg(height + 28, parts, title)


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 -10 {_WIDTH} {height + 12}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
