"""The parts of a chart as SVG: axes with a grid, and texts, whose characters are drawn by the fonts of the viewer.

SVG is a text, so these few charts need no library. The import of matplotlib and its drawing took two seconds of a run.
Pygal 3.1 takes 0.4 seconds, and its pictures name a script on a foreign server. Svgwrite and drawsvg have no axes.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_steps.pca.moments import Matrix

INK, GRID, FRAME = "#222222", "#dddddd", "#666666"
SMALL, NORMAL, LARGE = 11, 13, 15
# Widths of characters as shares of the font's size; fonts differ.
_NARROW, _WIDE = 0.58, 1.0
_MOST_TICKS = 8
# Characters that XML cannot contain; file names can.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Axes:
    """A rectangle of a picture, and the numbers at its edges.

    Attributes:
        left: Position of its left edge, in pixels; likewise ``top``, ``right`` and ``bottom``.
        x: The numbers at its left and right edge.
        y: The numbers at its bottom and top edge.
        counted: Whether ``x`` is a number of things, so that it has no fractions.
    """

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]
    counted: bool = False

    def pixels(self, points: NDArray[np.floating]) -> Matrix:
        """Returns the positions in the picture of points, both of shape (N, 2)."""
        across = np.interp(points[:, 0], self.x, (self.left, self.right))
        down = np.interp(points[:, 1], self.y, (self.bottom, self.top))
        return np.stack([across, down], axis=1)

    def drawn(self, title: str, below: str, beside: str = "") -> list[str]:
        """Returns the grid, the numbers at its lines, the frame, and three texts.

        Args:
            title: The text above.
            below: What is measured from left to right.
            beside: What is measured from bottom to top; without it there are no lines and numbers for that.
        """
        middle, height = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        parts: list[str] = []
        for value, words in _ticks(*self.x, least=int(self.counted)):
            at = self.pixels(np.array([[value, 0]]))[0, 0]
            parts.append(line(at, self.top, at, self.bottom, GRID))
            parts.append(text(at, self.bottom + 17, words))
        for value, words in _ticks(*self.y) if beside else ():
            at = self.pixels(np.array([[0, value]]))[0, 1]
            parts.append(line(self.left, at, self.right, at, GRID))
            parts.append(text(self.left - 7, at + 4, words, anchor="end"))
        corner = f"M{self.left:g} {self.top:g}H{self.right:g}V{self.bottom:g}H{self.left:g}z"
        parts.append(f'<path d="{corner}" fill="none" stroke="{FRAME}"/>')
        parts.append(text(middle, self.top - 8, title))
        parts.append(text(middle, self.bottom + 36, below))
        turned = f' transform="rotate(-90 14 {height:g})"'
        return [*parts, text(14, height, beside, more=turned)] if beside else parts


def limits(numbers: NDArray[np.floating]) -> tuple[float, float]:
    """Returns limits of an axis: the range of some numbers, and a little more."""
    if not len(numbers):
        return 0.0, 1.0
    low, high = float(numbers.min()), float(numbers.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float, least: float = 0) -> list[tuple[float, str]]:
    """Returns round numbers between two limits, at most 9 and ``least`` or more apart, each with its text."""
    power = 10.0 ** np.floor(np.log10((high - low) / _MOST_TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= _MOST_TICKS)
    step = max(step, least)
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    numbers = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [(float(number), f"{number + 0.0:,.{decimals}f}") for number in numbers]


def line(x: float, y: float, to_x: float, to_y: float, colour: str, more: str = "") -> str:
    """Returns a straight line; ``more`` has further attributes."""
    return f'<path d="M{x:.5g} {y:.5g}L{to_x:.5g} {to_y:.5g}" stroke="{colour}"{more}/>'


def circle(x: float, y: float, radius: float, colour: str) -> str:
    """Returns a filled circle."""
    return f'<circle cx="{x:.5g}" cy="{y:.5g}" r="{radius:g}" fill="{colour}"/>'


def text(x: float, y: float, words: str, size: int = NORMAL, anchor: str = "middle", more: str = "") -> str:
    """Returns a line of text, its baseline at ``y``; ``anchor`` is start, middle or end; ``more`` has attributes."""
    about = "" if size == NORMAL else f' font-size="{size}"'
    about += "" if anchor == "middle" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.5g}" y="{y:.5g}"{about}{more}>{escaped(words)}</text>'


def escaped(words: str) -> str:
    """Returns a text as XML has it: names of folders may contain any character."""
    return html.escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", words), quote=False)


def width_of(words: str, size: float) -> float:
    """Returns the approximate width of a text in pixels."""
    drawn = [one for one in words if not unicodedata.combining(one)]
    return size * sum(_WIDE if unicodedata.east_asian_width(one) in "WF" else _NARROW for one in drawn)


def document(width: float, height: float, parts: Iterable[str]) -> str:
    """Returns a picture with a white background, which is readable on the light and the dark pages of the UI."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" font-size="{NORMAL}" text-anchor="middle" '
        f'fill="{INK}"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )
