"""How many of the nearest photos an approximate index finds, measured on photos of the store."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spark_steps.queries.neighbours import Near
from spark_steps.queries.photo_index import PhotoIndex

NEIGHBOURS = 10
# The index is searched more widely until it finds so many.
WANTED = 0.98
_SAMPLE = 100


@dataclass(frozen=True)
class Recall:
    """Shares of what an exact search finds that an approximate one finds too, of photos that look for others.

    Attributes:
        nearest: Of the nearest photo.
        ten_nearest: Of the ten nearest photos.
        other_label: Of the nearest photo of another label, on which the verdict depends.
    """

    nearest: float
    ten_nearest: float
    other_label: float


def tune(photos: PhotoIndex) -> Recall:
    """Has the approximate index of some photos search as widely as it takes, and returns its recall then.

    Args:
        photos: Photos with an approximate index.
    """
    index = photos.approximate
    assert index is not None  # noqa: S101
    rows = np.sort(np.random.default_rng(1).permutation(len(photos.numbers))[:_SAMPLE])
    exact = [photos.near(photos.numbers[row], NEIGHBOURS + 1, exact=True) for row in rows]
    while True:
        found = [photos.near(photos.numbers[row], NEIGHBOURS + 1) for row in rows]
        recall = recall_of(exact, found)
        if min(recall.nearest, recall.ten_nearest, recall.other_label) >= WANTED or index.searched >= index.lists:
            return recall
        index.searched = min(2 * index.searched, index.lists)


def recall_of(exact: Sequence[Near], found: Sequence[Near]) -> Recall:
    """Returns the recall of photos of a store, each of which finds itself first.

    Args:
        exact: What there is to find near each photo.
        found: What was found.
    """
    nearest, ten, other = [], [], []
    for one, same in zip(exact, found, strict=True):
        there = [near.path for near in one.neighbours[1:]]
        seen = {near.path for near in same.neighbours}
        nearest += [path in seen for path in there[:1]]
        ten += [path in seen for path in there]
        other += [same.labels[1:] == one.labels[1:]]
    return Recall(*(float(np.mean(some)) if some else 1.0 for some in (nearest, ten, other)))
