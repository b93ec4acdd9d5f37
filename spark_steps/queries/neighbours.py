"""The photos of a store that are nearest to given ones in the reduced features: exact, with pyarrow and numpy alone."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from spark_steps.queries.comparable import ComparableFile, Numbers
from spark_steps.storage import parallel

# A file of features is 60 MB as it is read and projected.
_MOST_FILES_AT_A_TIME = 4
# The ratio of distances by which Lowe (2004), "Distinctive image features from scale-invariant keypoints", section 7.1,
# tells a match from none, there 0.8. What it gives here: docs/exploring.md, measured by benchmarks/studies/unknown.py.
KNOWN_BELOW = 0.75


class Neighbour(NamedTuple):
    """A photo of the store, as it stands to another photo; of equally near ones the first by path is the nearest.

    Attributes:
        distance: Euclidean distance of their reduced features.
        path: Where it lies.
        label: Its label.
        image_id: sha256 of its bytes.
    """

    distance: float
    path: str
    label: str
    image_id: str


class NearLabel(NamedTuple):
    """A label near to a photo.

    Attributes:
        label: The label.
        distance: That of its nearest photo.
        photos: How many of the neighbours have it.
        nearest: Path of its nearest photo.
    """

    label: str
    distance: float
    photos: int
    nearest: str


@dataclass(frozen=True)
class Verdict:
    """What the photos near to one say of it.

    Attributes:
        label: Its label, None where that is not known.
        distance: That of the nearest photo.
        threshold: The distance below which the label is known; None where all photos are of one label.
        candidates: The label of the nearest photo, and that of the nearest photo of another label, if there is one.
    """

    label: str | None
    distance: float
    threshold: float | None
    candidates: Sequence[str]


@dataclass(frozen=True)
class Near:
    """The photos near to one.

    Attributes:
        neighbours: The nearest.
        labels: The nearest photo of the nearest label, and that of the next label; fewer where there are fewer.
    """

    neighbours: Sequence[Neighbour] = ()
    labels: Sequence[Neighbour] = ()

    @property
    def verdict(self) -> Verdict:
        """The label of the nearest photo, where that is much nearer than every photo of another label.

        A photo of something else has a nearest photo too, about as far away as the nearest of another label. Each photo
        is measured by its own distances, so the threshold does not depend on the store: not on how alike its labels
        are, nor on how much two photos of one differ.
        """
        nearest = self.labels[0]
        threshold = KNOWN_BELOW * self.labels[1].distance if len(self.labels) > 1 else None
        known = threshold is not None and nearest.distance < threshold
        candidates = [one.label for one in self.labels]
        return Verdict(nearest.label if known else None, nearest.distance, threshold, candidates)


def find_neighbours(files: Sequence[ComparableFile], reduced: Numbers, count: int) -> list[Near]:
    """Finds the nearest photos by comparing with every one, some thousand at a time.

    Args:
        files: The photos to compare with, at least one; a file holds those of one label.
        reduced: Reduced features of the photos to find neighbours of, of shape (N, k).
        count: Neighbours of each.

    Returns:
        What is near to each photo, the nearest first.
    """

    def search(file: ComparableFile) -> list[Near]:
        found = ([_nearest(batch, rows, one, count) for one in reduced] for batch, rows in file.batches() if len(rows))
        return _merge(found, len(reduced), count)

    at_most = _MOST_FILES_AT_A_TIME if any(file.column == "features" for file in files) else parallel.MOST
    return _merge(parallel.results(search, files, at_most), len(reduced), count)


def _nearest(batch: pa.RecordBatch, rows: Numbers, reduced: Numbers, count: int) -> Near:
    difference = rows - reduced
    # The plain sum of squares: |a|^2 - 2ab + |b|^2 would be faster, and loses the digits of small distances.
    distances = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    nearest = np.argpartition(distances, count)[:count] if count < len(distances) else range(len(distances))
    neighbours = [_neighbour(batch, distances, int(row)) for row in nearest]
    return Near(neighbours, neighbours)


def _neighbour(batch: pa.RecordBatch, distances: Numbers, row: int) -> Neighbour:
    path, label, image_id = (batch[name][row].as_py() for name in ("path", "label", "image_id"))
    return Neighbour(float(distances[row]), path, label, image_id)


def _merge(found: Iterable[Sequence[Near]], photos: int, count: int) -> list[Near]:
    merged = [Near() for _ in range(photos)]
    for some in found:
        merged = [
            Near(
                heapq.nsmallest(count, chain(one.neighbours, other.neighbours)),
                _first_of_labels(chain(one.labels, other.labels)),
            )
            for one, other in zip(merged, some, strict=True)
        ]
    return merged


def _first_of_labels(neighbours: Iterable[Neighbour]) -> list[Neighbour]:
    first: dict[str, Neighbour] = {}
    for one in sorted(neighbours):
        first.setdefault(one.label, one)
    return list(first.values())[:2]


def labels_of(near: Near) -> list[NearLabel]:
    """Returns the labels near to a photo, the nearest first: those of its neighbours, and the next where it has one."""
    found: dict[str, list[Neighbour]] = {}
    for one in near.neighbours:
        found.setdefault(one.label, []).append(one)
    among = [NearLabel(label, of[0].distance, len(of), of[0].path) for label, of in found.items()]
    return among + [NearLabel(one.label, one.distance, 0, one.path) for one in near.labels if one.label not in found]
