"""Positions of names in a picture: near their points, without overlap where possible."""

import numpy as np
from numpy.typing import NDArray

from spark_steps.pca.moments import Matrix

# Candidates are on rings around the point: directions of each ring, number of rings, and distance between them.
_DIRECTIONS, _ROUNDS, _STEP = 16, 40, 6.0


def places_for_names(
    points: NDArray[np.floating], sizes: NDArray[np.floating], area: tuple[float, float, float, float]
) -> Matrix:
    """Returns the centre of each name, of shape (N, 2): its point, or the nearest free position.

    Names are placed one after the other, those of the most crowded points last, because around these points a free
    position is far away in any case. A name without a free position is placed where it covers the least of other names.

    Args:
        points: The points that the names belong to, of shape (N, 2).
        sizes: Width and height of each name, of shape (N, 2).
        area: Left, bottom, right and top of the area for names. All in the same unit, such as pixels.
    """
    places = points.astype(np.float64)
    offsets = _spiral()
    low, high = np.array(area[:2]), np.array(area[2:])
    placed: list[int] = []
    for name in _least_crowded_first(points):
        half = sizes[name] / 2
        candidates = np.clip(points[name] + offsets, low + half, np.maximum(high - half, low + half))
        covered = _covered(candidates, sizes[name], places[placed], sizes[placed])
        places[name] = candidates[int(covered.argmin())]
        placed.append(name)
    return places


def _spiral() -> Matrix:
    """Returns positions around (0, 0), the nearest first; twice as far apart in x as in y, because names are wide."""
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    ring = np.stack([2 * np.cos(angles), np.sin(angles)], axis=1)
    rings = _STEP * np.arange(1, _ROUNDS + 1)[:, np.newaxis, np.newaxis] * ring
    return np.concatenate([np.zeros((1, 2)), rings.reshape(-1, 2)])


def _least_crowded_first(points: NDArray[np.floating]) -> list[int]:
    apart = np.sqrt(np.square(points[:, np.newaxis] - points).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    return [int(name) for name in np.argsort(-apart.min(axis=1, initial=np.inf), kind="stable")]


def _covered(candidates: Matrix, size: NDArray[np.floating], places: Matrix, sizes: NDArray[np.floating]) -> Matrix:
    """Returns the area of the names already placed that a name would cover, for each candidate position."""
    reach = (size + sizes) / 2
    overlap = (reach - np.abs(candidates[:, np.newaxis] - places)).clip(min=0)
    covered: Matrix = overlap.prod(axis=2).sum(axis=1)
    return covered
