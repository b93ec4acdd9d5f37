"""Exact nearest-neighbour search in the reduced features of a store, with pyarrow and numpy only."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from spark_steps.queries.comparable import ComparableFile, Numbers
from spark_steps.storage import locations, parallel

# Each file takes memory, up to 60 MB while features are read and projected, and one on a disk is hardly waited for.
_MOST_FILES_AT_A_TIME = 4
# Greatest ratio of the nearest distance to that of another label at which a label is known: the ratio test of Lowe
# (2004), "Distinctive image features from scale-invariant keypoints", section 7.1, which uses 0.8. Its results here are
# in docs/exploring.md, measured by benchmarks/studies/unknown.py.
KNOWN_BELOW = 0.75


class Neighbour(NamedTuple):
    """A photo of the store near another photo. Neighbours sort by distance, and at equal distance by path.

    Attributes:
        distance: Euclidean distance between the reduced features of both photos.
        path: Its path, relative to the images root.
        label: Its label.
        image_id: sha256 of its bytes.
    """

    distance: float
    path: str
    label: str
    image_id: str


class NearLabel(NamedTuple):
    """A label near a photo.

    Attributes:
        label: The label.
        distance: Distance of the nearest photo with this label.
        photos: Number of neighbours with this label.
        nearest: Path of the nearest photo with this label.
    """

    label: str
    distance: float
    photos: int
    nearest: str


@dataclass(frozen=True)
class Verdict:
    """The label of a photo, as derived from its nearest photos.

    Attributes:
        label: Its label, None if it is not known.
        distance: Distance of the nearest photo.
        threshold: The distance below which the label is known; None if all photos have the same label.
        candidates: The label of the nearest photo, and that of the nearest photo of another label, if there is one.
    """

    label: str | None
    distance: float
    threshold: float | None
    candidates: Sequence[str]


@dataclass(frozen=True)
class Near:
    """The photos near a photo.

    Attributes:
        neighbours: The nearest photos.
        labels: The nearest photo of each of the two nearest labels; fewer if there are fewer labels.
    """

    neighbours: Sequence[Neighbour] = ()
    labels: Sequence[Neighbour] = ()

    @property
    def verdict(self) -> Verdict:
        """The label of the nearest photo, if that photo is much nearer than every photo of another label.

        A photo of an unknown object has a nearest photo too, but it is about as far away as the nearest photo of
        another label. The test uses the ratio of the photo's own distances. So it depends neither on how similar the
        labels of the store are, nor on how much photos of one label differ.
        """
        nearest = self.labels[0]
        threshold = KNOWN_BELOW * self.labels[1].distance if len(self.labels) > 1 else None
        known = threshold is not None and nearest.distance < threshold
        candidates = [one.label for one in self.labels]
        return Verdict(nearest.label if known else None, nearest.distance, threshold, candidates)


def find_neighbours(files: Sequence[ComparableFile], reduced: Numbers, count: int) -> list[Near]:
    """Finds the nearest photos by comparing with every photo, a few thousand at a time.

    Args:
        files: The photos to compare with, at least one; a file holds photos of one label.
        reduced: Reduced features of the query photos, of shape (N, k).
        count: Neighbours of each query photo.

    Returns:
        The photos near each query photo, the nearest first.
    """

    def search(file: ComparableFile) -> list[Near]:
        found = ([_nearest(batch, rows, one, count) for one in reduced] for batch, rows in file.batches() if len(rows))
        return _merge(found, len(reduced), count)

    is_waited_for = all(file.column == "reduced" and locations.is_remote(file.table.root) for file in files)
    at_most = parallel.MOST if is_waited_for else _MOST_FILES_AT_A_TIME
    return _merge(parallel.results(search, files, at_most), len(reduced), count)


def distances_to(rows: Numbers, reduced: Numbers) -> Numbers:
    """Returns the Euclidean distances of rows, of shape (N, k), to a photo, of shape (k,)."""
    difference = rows - reduced
    # Sum the squared differences: |a|^2 - 2ab + |b|^2 would be faster, but loses the digits of small distances.
    distances: Numbers = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distances


def _nearest(batch: pa.RecordBatch, rows: Numbers, reduced: Numbers, count: int) -> Near:
    distances = distances_to(rows, reduced)
    neighbours = [_neighbour(batch, distances, int(row)) for row in _rows_of_least(distances, count)]
    return Near(neighbours, neighbours)


def _rows_of_least(distances: Numbers, count: int) -> Iterable[int]:
    """Returns the rows of the least distances: so many, and all that are as far away as the last of them."""
    if count >= len(distances):
        return range(len(distances))
    nearest = np.argpartition(distances, count)[:count]
    return np.union1d(nearest, np.flatnonzero(distances == distances[nearest].max()))


def _neighbour(batch: pa.RecordBatch, distances: Numbers, row: int) -> Neighbour:
    path, label, image_id = (batch[name][row].as_py() for name in ("path", "label", "image_id"))
    return Neighbour(float(distances[row]), path, label, image_id)


def _merge(found: Iterable[Sequence[Near]], photos: int, count: int) -> list[Near]:
    merged = [Near() for _ in range(photos)]
    for some in found:
        merged = [
            Near(
                heapq.nsmallest(count, chain(one.neighbours, other.neighbours)),
                first_of_labels(chain(one.labels, other.labels)),
            )
            for one, other in zip(merged, some, strict=True)
        ]
    return merged


def first_of_labels(neighbours: Iterable[Neighbour]) -> list[Neighbour]:
    """Returns the nearest photo of each of the two nearest labels."""
    first: dict[str, Neighbour] = {}
    for one in sorted(neighbours):
        first.setdefault(one.label, one)
    return list(first.values())[:2]


def labels_of(near: Near) -> list[NearLabel]:
    """Returns the labels near a photo, the nearest first: those of its neighbours, then others of ``near.labels``."""
    found: dict[str, list[Neighbour]] = {}
    for one in near.neighbours:
        found.setdefault(one.label, []).append(one)
    among = [NearLabel(label, of[0].distance, len(of), of[0].path) for label, of in found.items()]
    return among + [NearLabel(one.label, one.distance, 0, one.path) for one in near.labels if one.label not in found]
