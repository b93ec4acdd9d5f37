"""Compares the photos of one cell with each other, by matrix products of bounded size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spark_steps.audit.cells import Features, Numbers

# Numbers of a product: 8 MB, and its copies and indices several times as much.
_PRODUCT = 1 << 21

# What a neighbour is wanted for: it is the nearest photo, one of the nearest outside of the group, or the nearest of
# another label.
NEAREST, OUTSIDE, OTHER_LABEL = range(3)
# A pair of photos: the first's neighbour is the other, which is wanted for a purpose.
PAIR = np.dtype([("photo", "i4"), ("purpose", "i1"), ("other", "i4"), ("cosine", "f4")])
Pairs = NDArray[np.void]


@dataclass(frozen=True)
class Part:
    """Photos of a cell.

    Attributes:
        numbers: Numbers of the photos, of shape (N,).
        home: Whether each is at home in the cell, of shape (N,).
        features: Unit vectors, of shape (N, D).
    """

    numbers: Numbers
    home: NDArray[np.bool_]
    features: Features


@dataclass(frozen=True)
class Cell:
    """All photos of a cell: those at home first, each kind by number.

    Attributes:
        numbers: Numbers of the photos, of shape (N,).
        at_home: How many are at home.
        features: Unit vectors, of shape (N, D).
    """

    numbers: Numbers
    at_home: int
    features: Features

    @classmethod
    def of_parts(cls, parts: Iterable[Part]) -> "Cell | None":
        """Returns the cell of some parts, None if there are none; the order of the parts does not matter."""
        if not (listed := list(parts)):
            return None
        numbers = np.concatenate([part.numbers for part in listed])
        home = np.concatenate([part.home for part in listed])
        order = np.lexsort((numbers, ~home))
        places = np.argsort(order)
        features = np.empty((len(numbers), listed[0].features.shape[1]), np.float32)
        start = 0
        listed.reverse()
        while listed:
            # The part's rows are freed when they are copied, so that not all are in memory twice.
            part = listed.pop()
            features[places[start : start + len(part.numbers)]] = part.features
            start += len(part.numbers)
        return cls(numbers[order], int(home.sum()), features)

    def links(self, cosine: float) -> tuple[Numbers, Numbers]:
        """Links the near-duplicates of the cell: a star for each connected component.

        A thousand photos of one thing have half a million pairs, and a star of 999 links.

        Args:
            cosine: The cosine from which two photos are near-duplicates.

        Returns:
            Numbers of photos, and to each the number of the first photo of its component.
        """
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        size = len(self.numbers)
        components = np.arange(size)
        for start, stop in _blocks(self.at_home, size):
            rows, columns = np.nonzero(self.features[start:stop] @ self.features.T >= cosine)
            ends = components[rows + start], components[columns]
            graph = coo_matrix((np.ones(len(rows), np.bool_), ends), shape=(size, size))
            components = connected_components(graph, directed=False)[1][components]
        _, first, component = np.unique(components, return_index=True, return_inverse=True)
        roots = self.numbers[first[component]]
        linked = roots != self.numbers
        return self.numbers[linked], roots[linked]

    def neighbours(self, labels: Numbers, groups: Numbers, count: int) -> Iterator[Pairs]:
        """Yields the neighbours of each photo: of those at home among all, and of visitors among those at home.

        Args:
            labels: The label of each photo of the store, by number, as a number.
            groups: The group of each photo of the store, by number.
            count: The most neighbours outside of the group.
        """
        size, home = len(self.numbers), self.at_home
        for start, stop in _blocks(home, size):
            yield from self._nearest(slice(start, stop), slice(0, size), labels, groups, count)
        for start, stop in _blocks(size - home, home):
            yield from self._nearest(slice(home + start, home + stop), slice(0, home), labels, groups, count)

    def _nearest(self, rows: slice, columns: slice, labels: Numbers, groups: Numbers, count: int) -> Iterator[Pairs]:
        cosines = self.features[rows] @ self.features[columns].T
        photos, others = self.numbers[rows], self.numbers[columns]
        cosines[photos[:, np.newaxis] == others] = -np.inf
        yield _best(cosines, photos, others, NEAREST, 1)
        same = groups[photos][:, np.newaxis] == groups[others]
        yield _best(np.where(same, -np.inf, cosines), photos, others, OUTSIDE, count)
        cosines[labels[photos][:, np.newaxis] == labels[others]] = -np.inf
        yield _best(cosines, photos, others, OTHER_LABEL, 1)


def _blocks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Yields the ends of ranges of rows, so that a product of such a range and all columns has a bounded size."""
    step = max(1, _PRODUCT // max(1, columns))
    for start in range(0, rows, step):
        yield start, min(rows, start + step)


def _best(cosines: Features, photos: Numbers, others: Numbers, purpose: int, count: int) -> Pairs:
    """Returns the pairs of the greatest cosines of each row, without those of -inf."""
    most = min(count, len(others))
    if not most:
        return np.empty(0, PAIR)
    if most == 1:
        columns = cosines.argmax(axis=1)[:, np.newaxis]
    else:
        columns = np.argpartition(cosines, len(others) - most, axis=1)[:, -most:]
    found = np.take_along_axis(cosines, columns, axis=1)
    rows, ranks = np.nonzero(found > -np.inf)
    pairs = np.empty(len(rows), PAIR)
    pairs["photo"], pairs["purpose"] = photos[rows], purpose
    pairs["other"], pairs["cosine"] = others[columns[rows, ranks]], found[rows, ranks]
    return pairs


def best_pairs(pairs: Pairs, count: int) -> Pairs:
    """Merges the neighbours that were found in several cells.

    Args:
        pairs: Pairs, some of them more than once.
        count: The most neighbours outside of the group.

    Returns:
        The nearest pairs of each photo and purpose, each once: by photo and purpose, the nearest first.
    """
    by_pair = np.lexsort((pairs["other"], pairs["purpose"], pairs["photo"]))
    pairs = pairs[by_pair]
    pairs = pairs[_begins(pairs, ("photo", "purpose", "other"))]
    pairs = pairs[np.lexsort((pairs["other"], -pairs["cosine"], pairs["purpose"], pairs["photo"]))]
    begins = _begins(pairs, ("photo", "purpose"))
    first = np.maximum.accumulate(np.where(begins, np.arange(len(pairs)), 0))
    rank = np.arange(len(pairs)) - first
    return pairs[rank < np.where(pairs["purpose"] == OUTSIDE, count, 1)]


def _begins(pairs: Pairs, fields: tuple[str, ...]) -> NDArray[np.bool_]:
    """Returns for each pair whether it differs from the pair before it in one of the fields."""
    begins = np.ones(len(pairs), np.bool_)
    begins[1:] = np.logical_or.reduce([pairs[name][1:] != pairs[name][:-1] for name in fields])
    return begins
