"""Colours for labels: one for each label, as different from each other as possible."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from spark_steps.pca.moments import Matrix

# Steps along each edge of the RGB cube; the colours are chosen from this grid.
_STEPS = 18
# Range of lightness on a white background, in which the hue is visible; least chroma, which excludes greys.
_LIGHTNESS, _LEAST_CHROMA = (0.4, 0.75), 0.07


def palette(count: int) -> list[tuple[float, float, float]]:
    """Returns different colours, each the farthest from those before it, so that a shorter palette begins a longer one.

    The method of Glasbey, van der Heijden, Toh and Gray (2007), "Colour displays for categorical images", Color
    Research and Application 32(4), with distances in OKLab.

    Args:
        count: Number of colours, at most 1,000.

    Returns:
        Red, green and blue of each colour, from 0 to 1.
    """
    colours, places = _candidates()
    # The first colour is a strong blue, which determines the rest.
    chosen = [int(np.square(colours - (0.12, 0.35, 0.7)).sum(axis=1).argmin())]
    nearest = np.full(len(colours), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.square(places - places[chosen[-1]]).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    return [(float(red), float(green), float(blue)) for red, green, blue in colours[chosen[:count]]]


@cache
def _candidates() -> tuple[Matrix, Matrix]:
    """Returns the colours to choose from, and their coordinates in OKLab."""
    edge = np.linspace(0, 1, _STEPS)
    colours = np.stack(np.meshgrid(edge, edge, edge), axis=-1).reshape(-1, 3)
    places = oklab(colours)
    lightness, chroma = places[:, 0], np.hypot(places[:, 1], places[:, 2])
    fit = (lightness > _LIGHTNESS[0]) & (lightness < _LIGHTNESS[1]) & (chroma > _LEAST_CHROMA)
    return colours[fit], places[fit]


def oklab(colours: NDArray[np.floating]) -> Matrix:
    """Returns sRGB colours in OKLab (lightness, a, b), of shape (N, 3): distances there match perceived differences.

    The matrices are those of Ottosson (2020), https://bottosson.github.io/posts/oklab.

    Args:
        colours: Red, green and blue from 0 to 1, of shape (N, 3).
    """
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    places: Matrix = np.cbrt(linear @ np.transpose(to_cones)) @ np.transpose(to_lab)
    return places
