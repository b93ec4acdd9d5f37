"""Horizontal bars, each of one part or several, and histograms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fruits_assets.assets.charts import svg

_WIDTH, _BAR, _TOP, _LEGEND, _BELOW = 680, 32, 36, 24, 48
_THIN_BAR, _THIN_FROM = 20, 12
_HISTOGRAM_HEIGHT = 220


@dataclass(frozen=True)
class Bar:
    """A bar.

    Attributes:
        name: The text to its left.
        parts: Length and colour of each part, from left to right.
        words: The text to its right.
    """

    name: str
    parts: tuple[tuple[float, str], ...]
    words: str

    @property
    def length(self) -> float:
        """The length of all parts."""
        return sum(length for length, _ in self.parts)


def horizontal_bars(
    title: str, below: str, bars: Sequence[Bar], legend: Sequence[tuple[str, str]] = (), *, counted: bool = True
) -> str:
    """Draws bars, one below the other.

    Args:
        title: The text above.
        below: What is measured from left to right.
        bars: The bars, one at least.
        legend: Name and colour of each kind of part.
        counted: Whether lengths are numbers of things, so that the axis has no fractions.
    """
    height = _BAR if len(bars) < _THIN_FROM else _THIN_BAR
    top = _TOP + (_LEGEND if legend else 0)
    left = 16 + max(svg.width_of(bar.name, svg.NORMAL) for bar in bars)
    right, bottom = _WIDTH - 20, top + height * len(bars)
    room = 14 + max(svg.width_of(bar.words, svg.NORMAL) for bar in bars)
    # The longest bar leaves room for the longest text, and at least a third of the width is for bars.
    most = max((bar.length for bar in bars), default=0) * (right - left) / max(right - left - room, (right - left) / 3)
    axes = svg.Axes(left, top, right, bottom, (0, most or 1), (0, 1), counted=counted)
    parts = [*_legend(legend, left), *axes.drawn(title, below)]
    for number, bar in enumerate(bars):
        parts += _drawn(bar, axes, top + height * number, height)
    return svg.document(_WIDTH, bottom + _BELOW, parts)


def _drawn(bar: Bar, axes: svg.Axes, top: float, height: float) -> list[str]:
    gap, baseline = height / 6, top + height / 2 + 5
    parts, start = [svg.text(axes.left - 7, baseline, bar.name, anchor="end")], 0.0
    for length, colour in bar.parts:
        ((x, _), (to_x, _)) = axes.pixels(np.array([[start, 0], [start + length, 0]]))
        place = f'x="{x:.5g}" y="{top + gap:.5g}" width="{to_x - x:.5g}" height="{height - 2 * gap:.5g}"'
        parts.append(f'<rect {place} fill="{colour}"/>')
        start += length
    ((end, _),) = axes.pixels(np.array([[start, 0]]))
    return [*parts, svg.text(end + 6, baseline, bar.words, anchor="start")]


def _legend(legend: Sequence[tuple[str, str]], left: float) -> list[str]:
    parts, x = [], left
    for name, colour in legend:
        parts.append(f'<rect x="{x:.5g}" y="8" width="12" height="12" fill="{colour}"/>')
        parts.append(svg.text(x + 17, 18, name, anchor="start"))
        x += 40 + svg.width_of(name, svg.NORMAL)
    return parts


def histogram(title: str, below: str, edges: Sequence[float], counts: Sequence[int], colour: str) -> str:
    """Draws a histogram.

    Args:
        title: The text above.
        below: What is measured from left to right.
        edges: The limits of the bars, one more than there are bars.
        counts: The height of each bar.
        colour: The colour of the bars.
    """
    axes = svg.Axes(70, _TOP, _WIDTH - 20, _HISTOGRAM_HEIGHT, (edges[0], edges[-1]), (0, 1.05 * max([1, *counts])))
    bars = []
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        ((x, y), (to_x, bottom)) = axes.pixels(np.array([[low, count], [high, 0]]))
        bars.append(f"M{x:.5g} {bottom:.5g}V{y:.5g}H{to_x:.5g}V{bottom:.5g}z")
    drawn = f'<path d="{"".join(bars)}" fill="{colour}"/>'
    return svg.document(_WIDTH, _HISTOGRAM_HEIGHT + _BELOW, [*axes.drawn(title, below, "photos"), drawn])
