"""The neighbourhood of each photo, found by Spark's tasks: near-duplicates, nearest photos, and how these are labelled.

Tasks read the features and send each photo to its cell and to the cells near by, in blocks and not row by row. Two jobs
then work on the same shuffled cells: the first links near-duplicates, which gives the groups, and the second finds
the nearest photos, for which the groups have to be known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spark_steps.audit.cells import CellLimits, Cells, Features, Numbers, train
from spark_steps.audit.comparison import NEAREST, OTHER_LABEL, OUTSIDE, PAIR, Cell, Pairs, Part, best_pairs
from spark_steps.audit.photos import AuditedPhotos, unit_rows
from spark_steps.audit.settings import AuditSettings
from spark_steps.errors import FruitsError
from spark_steps.spark.tasks import collect, run_in_tasks, tasks_of
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.row_ranges import FileRows

if TYPE_CHECKING:
    from pyspark import RDD, SparkContext

# The pairs of so many photos, found in several cells, take some 30 MB.
_PHOTOS_OF_MERGE = 16_384
Shares = NDArray[np.float32]


@dataclass(frozen=True)
class Neighbourhoods:
    """What is known about each distinct photo from the others; each array has the shape (D,).

    Attributes:
        groups: Number of its group of near-duplicates.
        nearest: Number of the nearest photo, -1 if there is no other photo.
        nearest_cosine: Its cosine, NaN if there is none.
        other: Number of the nearest photo of another label, -1 if there is none.
        other_cosine: Its cosine, NaN if there is none.
        agreement: Share of the nearest photos outside of its group that have its label, NaN if there are none.
        label_cosine: Cosine to the mean of the unit vectors of its label.
    """

    groups: Numbers
    nearest: Numbers
    nearest_cosine: Shares
    other: Numbers
    other_cosine: Shares
    agreement: Shares
    label_cosine: Shares


def compare(
    context: "SparkContext",
    features: FolderTable,
    photos: AuditedPhotos,
    settings: AuditSettings,
    limits: CellLimits | None = None,
) -> Neighbourhoods:
    """Compares all photos with those near them.

    With one cell all pairs are compared. With several, near-duplicates are missed only where a photo is near to more
    than ``CellLimits.visits`` cells; the neighbours outside of a group are approximate. docs/decisions has what that
    costs, measured.

    Args:
        context: Spark's context.
        features: The table mobilenet_features.
        photos: Its photos; one at least.
        settings: The settings of the audit.
        limits: How many cells there are.

    Raises:
        FruitsError: Some features are not finite.
    """
    limits = limits or CellLimits()
    shares = photos.shares(context.defaultParallelism)
    means, sample = _means_and_sample(context, features, photos, shares, settings, limits)
    cells = train(sample, limits.cells(photos.count), settings.seed, limits)
    by_cell = _by_cell(context, features, photos, shares, cells, settings.cosine)
    groups, label_cosine = _groups(context, by_cell, photos, means, settings.cosine)
    near = _nearest(context, by_cell, photos.labels, groups, settings.neighbours)
    nearest, nearest_cosine = _of_photos(near, NEAREST, photos.count)
    other, other_cosine = _of_photos(near, OTHER_LABEL, photos.count)
    _, agreement = _of_photos(near, OUTSIDE, photos.count)
    return Neighbourhoods(groups, nearest, nearest_cosine, other, other_cosine, agreement, label_cosine)


def _by_cell(
    context: "SparkContext",
    features: FolderTable,
    photos: AuditedPhotos,
    shares: list[list[FileRows]],
    cells: Cells,
    cosine: float,
) -> "RDD[tuple[int, Part]]":
    """Returns the photos by cell: each cell is a task.

    Spark keeps on the disks what was shuffled, so that the second job does not read the features again.
    """
    known = context.broadcast((photos.of_rows, cells))

    def parts(items: Iterator[FileRows]) -> Iterator[tuple[int, Part]]:
        of_rows, all_cells = known.value
        found = list(unit_rows(features, items, of_rows))
        if not found:
            return
        numbers, rows = (np.concatenate(some) for some in zip(*found, strict=True))
        found.clear()
        places = all_cells.places(rows, cosine)
        order = np.argsort(places.cells, kind="stable")
        ends = np.flatnonzero(np.diff(places.cells[order])) + 1
        for of_cell in np.split(order, ends):
            chosen = places.rows[of_cell]
            yield int(places.cells[of_cell[0]]), Part(numbers[chosen], places.home[of_cell], rows[chosen])

    return tasks_of(context, shares, parts).partitionBy(cells.count, int)


def _means_and_sample(
    context: "SparkContext",
    features: FolderTable,
    photos: AuditedPhotos,
    shares: list[list[FileRows]],
    settings: AuditSettings,
    limits: CellLimits,
) -> tuple[Features, Features]:
    """Returns the mean direction of each label, of shape (L, D), and a random sample of the photos."""
    sampled = np.zeros(photos.count, np.bool_)
    random = np.random.default_rng(settings.seed)
    sampled[random.choice(photos.count, limits.sampled(photos.count), replace=False)] = True
    known = context.broadcast((photos.of_rows, photos.labels, sampled))

    def run(items: Iterator[FileRows]) -> Iterator[tuple[dict[int, NDArray[np.float64]], list[Features]]]:
        of_rows, labels, chosen = known.value
        sums: dict[int, NDArray[np.float64]] = {}
        samples: list[Features] = []
        for numbers, rows in unit_rows(features, items, of_rows):
            of_labels = labels[numbers]
            for label in np.unique(of_labels).tolist():
                sums[label] = sums.get(label, 0) + rows[of_labels == label].sum(axis=0, dtype=np.float64)
            samples.append(rows[chosen[numbers]])
        yield sums, samples

    found = run_in_tasks(context, shares, run)
    sample = np.concatenate([rows for _, samples in found for rows in samples])
    means = np.zeros((len(photos.label_names), sample.shape[1]))
    for sums, _ in found:
        for label, total in sums.items():
            means[label] += total
    if not np.isfinite(means).all():
        raise FruitsError(
            "Some features are NaN or infinite, so photos cannot be compared. The check "
            "features_are_finite_numbers says how many; the weights are most likely broken."
        )
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return (means / np.where(lengths > 0, lengths, 1)).astype(np.float32), sample


def _groups(
    context: "SparkContext", by_cell: "RDD[tuple[int, Part]]", photos: AuditedPhotos, means: Features, cosine: float
) -> tuple[Numbers, Shares]:
    """Returns the number of each photo's group, and its cosine to the mean of its label."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    known = context.broadcast((photos.labels, means))

    def links(parts: Iterable[tuple[int, Part]]) -> Iterator[tuple[Numbers, Numbers, Numbers, Shares]]:
        if (cell := Cell.of_parts(part for _, part in parts)) is not None:
            labels, of_labels = known.value
            home = cell.numbers[: cell.at_home]
            own = np.einsum("ij,ij->i", cell.features[: cell.at_home], of_labels[labels[home]])
            yield (*cell.links(cosine), home, own)

    found = collect(context, by_cell.mapPartitions(links))
    members, roots, home, own = (np.concatenate(some) for some in zip(*found, strict=True))
    # Copies under two labels are distinct photos of one group, also where a network gives them no features but zeros.
    _, first, same = np.unique(photos.bytes_of, return_index=True, return_inverse=True)
    ends = np.concatenate([members, np.arange(photos.count)]), np.concatenate([roots, first[same]])
    graph = coo_matrix((np.ones(len(ends[0]), np.bool_), ends), shape=(photos.count, photos.count))
    label_cosine = np.zeros(photos.count, np.float32)
    label_cosine[home] = own
    return connected_components(graph, directed=False)[1].astype(np.int32), label_cosine


def _nearest(
    context: "SparkContext",
    by_cell: "RDD[tuple[int, Part]]",
    labels: Numbers,
    groups: Numbers,
    count: int,
) -> Pairs:
    """Returns the nearest photo and the nearest of another label of each photo, and the agreement of its neighbours.

    A pair of the purpose ``OUTSIDE`` has the share of the neighbours with the photo's label in place of a cosine.
    """
    ranges, known = max(1, len(groups) // _PHOTOS_OF_MERGE), context.broadcast((labels, groups))

    def find(parts: Iterable[tuple[int, Part]]) -> Iterator[tuple[int, Pairs]]:
        if (cell := Cell.of_parts(part for _, part in parts)) is None:
            return
        pairs = np.concatenate(list(cell.neighbours(*known.value, count)))
        of_range = pairs["photo"] % ranges
        for number in np.unique(of_range).tolist():
            yield number, pairs[of_range == number]

    def merge(found: Iterable[tuple[int, Pairs]]) -> Iterator[Pairs]:
        if pairs := [some for _, some in found]:
            best, (of_photos, _) = best_pairs(np.concatenate(pairs), count), known.value
            outside = best[best["purpose"] == OUTSIDE]
            agrees = of_photos[outside["photo"]] == of_photos[outside["other"]]
            photos, first, of_photo = np.unique(outside["photo"], return_index=True, return_inverse=True)
            agreement = outside[first]
            agreement["cosine"] = np.bincount(of_photo, agrees, len(photos)) / np.bincount(of_photo)
            yield np.concatenate([best[best["purpose"] != OUTSIDE], agreement])

    merged = by_cell.mapPartitions(find).partitionBy(ranges, int).mapPartitions(merge)
    found = collect(context, merged)
    return np.concatenate(found) if found else np.empty(0, PAIR)


def _of_photos(pairs: Pairs, purpose: int, photos: int) -> tuple[Numbers, Shares]:
    """Returns neighbour and cosine of each photo for a purpose, -1 and NaN for photos without a pair."""
    pairs = pairs[pairs["purpose"] == purpose]
    others, cosines = np.full(photos, -1, np.int32), np.full(photos, np.nan, np.float32)
    others[pairs["photo"]] = pairs["other"]
    # Products of float32 exceed 1 by their rounding errors.
    cosines[pairs["photo"]] = np.minimum(pairs["cosine"], 1)
    return others, cosines
