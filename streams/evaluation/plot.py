"""Two plots as inline SVG: values with their intervals, and a sorted curve."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_WIDTH = 800
_LABELS = 190
"""Pixels for the names, to the left of the plot."""
_RIGHT = 90
"""Pixels for the numbers, to the right of it."""
_ROW = 26
_CURVE = 160
_UP, _DOWN, _NEUTRAL = "#2e8b57", "#c0392b", "#4878a8"


class Bar(NamedTuple):
    """A value with its interval."""

    name: str
    value: float
    low: float
    high: float


def intervals(bars: Sequence[Bar]) -> str:
    """A dot and a whisker for each; green above 0, red below, where some are below 0."""
    if not bars:
        return "<p>Nothing to judge.</p>"
    signed = min(bar.low for bar in bars) < 0
    low = min(0.0, *(bar.low for bar in bars))
    high = max(0.0, *(bar.high for bar in bars)) or 1.0

    def across(value: float) -> float:
        return _LABELS + (value - low) / (high - low) * (_WIDTH - _LABELS - _RIGHT)

    height = _ROW * len(bars) + 8
    parts = [f'<line x1="{across(0):.1f}" x2="{across(0):.1f}" y1="0" y2="{height}" stroke="#8888"/>']
    for place, bar in enumerate(bars):
        middle = _ROW * place + _ROW / 2 + 4
        colour = _NEUTRAL if not signed or bar.low <= 0 <= bar.high else _UP if bar.low > 0 else _DOWN
        parts += [
            f'<text x="0" y="{middle + 4:.1f}">{escape(bar.name)}</text>',
            f'<line x1="{across(bar.low):.1f}" x2="{across(bar.high):.1f}" y1="{middle}" y2="{middle}" '
            f'stroke="{colour}" stroke-width="3"/>',
            f'<circle cx="{across(bar.value):.1f}" cy="{middle}" r="5" fill="{colour}"/>',
            f'<text x="{_WIDTH}" y="{middle + 4:.1f}" text-anchor="end">{bar.value:{"+" if signed else ""}.4f}</text>',
        ]
    return _svg(height, "values with intervals: " + ", ".join(f"{bar.name} {bar.value:.4f}" for bar in bars), parts)


def sorted_curve(values: Sequence[float]) -> str:
    """Values from the largest to the smallest, around 0."""
    ordered = sorted(values, reverse=True)
    if not ordered:
        return ""
    reach = max(abs(ordered[0]), abs(ordered[-1])) or 1.0
    step = _WIDTH / max(len(ordered) - 1, 1)
    middle = _CURVE / 2
    points = " ".join(
        f"{place * step:.1f},{middle - value / reach * (middle - 4):.1f}" for place, value in enumerate(ordered)
    )
    parts = [
        f'<line x1="0" x2="{_WIDTH}" y1="{middle}" y2="{middle}" stroke="#8888"/>',
        f'<polyline points="{points}" fill="none" stroke="{_NEUTRAL}" stroke-width="2"/>',
        f'<text x="0" y="12">+{reach:.2f}</text>',
        f'<text x="{_WIDTH}" y="{_CURVE - 2}" text-anchor="end">−{reach:.2f}</text>',
    ]
    return _svg(_CURVE, f"differences of {len(ordered)} users, sorted", parts)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )
