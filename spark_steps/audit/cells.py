"""Cells of a k-means clustering: photos are compared with those of their own cell and of cells near by."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Numbers = NDArray[np.int32]
_ITERATIONS = 10
# From a million photos on the cells are larger: k-means takes the driver a time that grows with the square.
_MOST_CELLS = 2048
# A cell of so many times the photos of an average one is split.
_LARGE = 2
# Each round splits what the one before has left too large; two are enough for the photos that were tried.
_ROUNDS = 5
# 335 MB of features, which pass through the driver.
_MOST_SAMPLED = 65_536


@dataclass(frozen=True)
class CellLimits:
    """How many cells there are, and how many of them a photo is compared in.

    Attributes:
        one_cell: Up to so many photos there is one cell, and all pairs are compared.
        photos: Photos of a cell on average, where there are several.
        visits: The most other cells that a photo is compared in.
        least_visits: So many are visited even if no near-duplicate can be in them: the neighbours of a photo outside of
            its group of near-duplicates are further away.
        sample: Photos for each cell that the cells are found from; faiss asks for 39 or more.
    """

    one_cell: int = 4096
    photos: int = 512
    visits: int = 12
    least_visits: int = 3
    sample: int = 50

    def cells(self, photos: int) -> int:
        """Returns the number of cells for a number of photos."""
        return 1 if photos <= self.one_cell else min(_MOST_CELLS, math.ceil(photos / self.photos))

    def sampled(self, photos: int) -> int:
        """Returns how many of a number of photos the cells are found from; none for one cell."""
        cells = self.cells(photos)
        return 0 if cells == 1 else min(photos, _MOST_SAMPLED, cells * self.sample)


class Places(NamedTuple):
    """The cells of photos: each photo is at home in one cell and visits others.

    Attributes:
        cells: Of shape (M,): M is the number of photos and of visits.
        rows: The rows of the photos, of shape (M,).
        home: Whether the photo is at home in the cell, of shape (M,).
    """

    cells: Numbers
    rows: Numbers
    home: NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """The cells: a photo is at home in that of the nearest centroid.

    Attributes:
        centroids: Of shape (K, D); None if there is one cell.
        between: The distances between the centroids, of shape (K, K); None if there is one cell.
        limits: How many cells a photo visits.
    """

    centroids: Features | None = None
    between: Features | None = None
    limits: CellLimits = CellLimits()

    @classmethod
    def around(cls, centroids: Features, limits: CellLimits) -> "Cells":
        """Returns the cells of at least two centroids."""
        squares = np.einsum("ij,ij->i", centroids, centroids)
        between = np.sqrt(np.maximum(squares[:, np.newaxis] + squares - 2 * centroids @ centroids.T, 0))
        return cls(centroids, between, limits)

    @property
    def count(self) -> int:
        """Number of cells."""
        return 1 if self.centroids is None else len(self.centroids)

    def places(self, photos: Features, cosine: float) -> Places:
        """Assigns photos to cells, so that any two near-duplicates meet in a cell in which one of them is at home.

        Two photos whose homes differ lie on different sides of the plane between the centroids. If they are at most a
        distance r apart, one of them is at most r/2 from the plane. It visits the other cell. So no pair is missed,
        unless more than ``limits.visits`` planes are as near.

        Args:
            photos: Unit vectors, of shape (N, D).
            cosine: The cosine from which two photos are near-duplicates.
        """
        if self.centroids is None:
            rows = np.arange(len(photos), dtype=np.int32)
            return Places(np.zeros_like(rows), rows, np.ones(len(rows), np.bool_))
        borders = self.distances_to_borders(photos)
        count = min(self.limits.visits + 1, self.count)
        some = np.argpartition(borders, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(borders, some, axis=1), axis=1, kind="stable")
        # The first is the photo's home.
        nearest = np.take_along_axis(some, order, axis=1).astype(np.int32)
        is_near = np.take_along_axis(borders, nearest, axis=1) <= half_distance(cosine)
        of_rows, ranks = np.nonzero(is_near | (np.arange(count) <= self.limits.least_visits))
        return Places(nearest[of_rows, ranks], of_rows.astype(np.int32), ranks == 0)

    def distances_to_borders(self, photos: Features) -> Features:
        """Returns the distances to the planes between the nearest centroid and each other one, -inf for the nearest."""
        assert self.centroids is not None  # noqa: S101
        assert self.between is not None  # noqa: S101
        to_centroids = _without_own_square(photos, self.centroids)
        home = to_centroids.argmin(axis=1)
        every = np.arange(len(photos))
        further = to_centroids - to_centroids[every, home][:, np.newaxis]
        # Equal centroids have no plane between them: their photos are as near as can be.
        borders: Features = further / np.maximum(2 * self.between[home], 1e-6)
        borders[every, home] = -np.inf
        return borders


def half_distance(cosine: float) -> float:
    """Returns half the distance of two unit vectors of a given cosine, and a little for rounding errors of float32."""
    return math.sqrt(max(0.0, 2 - 2 * cosine)) / 2 + 1e-4


def train(sample: Features, count: int, seed: int, limits: CellLimits) -> Cells:
    """Finds the cells by k-means, and splits large ones by k-means of their own photos.

    The work grows with the square of a cell's photos, and its memory with them. k-means alone leaves cells of ten times
    the average: it begins with random photos, and what has none of them near stays together.

    Args:
        sample: Unit vectors of some photos, of shape (N, D).
        count: Number of cells before large ones are split.
        seed: Of the random choice of the first centroids.
        limits: Limits of the cells.
    """
    if count == 1:
        return Cells(limits=limits)
    centroids = _k_means(sample, count, seed)
    for _ in range(_ROUNDS):
        of_photos = _nearest(sample, centroids)
        large = np.flatnonzero(np.bincount(of_photos, minlength=len(centroids)) > _LARGE * len(sample) / count)
        parts = [_split(sample[of_photos == cell], count / len(sample), seed) for cell in large]
        if not any(len(part) > 1 for part in parts):
            break
        centroids = np.concatenate([np.delete(centroids, large, axis=0), *parts])
    return Cells.around(centroids, limits)


def _split(photos: Features, cells_of_photo: float, seed: int) -> Features:
    """Returns the centroids of a cell's parts, without those that have no photo: one where the photos are all alike."""
    centroids = _k_means(photos, math.ceil(len(photos) * cells_of_photo), seed)
    return centroids[np.unique(_nearest(photos, centroids))]


def _nearest(photos: Features, centroids: Features) -> Numbers:
    """Returns the nearest centroid of each photo, by number."""
    found: Numbers = _without_own_square(photos, centroids).argmin(axis=1).astype(np.int32)
    return found


def _without_own_square(photos: Features, centroids: Features) -> Features:
    """Returns the squared distances, of shape (N, K), less the squared length of each photo."""
    distances: Features = np.einsum("ij,ij->i", centroids, centroids) - 2 * photos @ centroids.T
    return distances


def _k_means(photos: Features, count: int, seed: int) -> Features:
    # Imported here: small stores have one cell.
    import faiss

    # One thread: with several the sums, and so the cells, depend on the order in which they are added up.
    faiss.omp_set_num_threads(1)
    kmeans = faiss.Kmeans(photos.shape[1], count, niter=_ITERATIONS, seed=seed, min_points_per_centroid=1)
    kmeans.train(np.ascontiguousarray(photos, np.float32))
    return np.array(kmeans.centroids, np.float32)
