"""The photos of a store that are nearest to given ones in the reduced features: exact, with pyarrow and numpy alone."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.tables import DataFile, FolderTable, matrix_of

Numbers = NDArray[np.float32]
_COLUMNS = ["reduced", "pca_model", "label", "path", "image_id"]
_FILES_AT_A_TIME = 16
# 4 MB for each of those files.
_NUMBERS_AT_A_TIME = 1 << 20


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
    """A label among the neighbours of a photo.

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
class Search:
    """What a search found.

    Attributes:
        neighbours: For each photo asked for, its neighbours, the nearest first.
        rows: Photos it was compared with.
        other_rows: Photos left out, because another PCA model reduced them.
    """

    neighbours: list[list[Neighbour]]
    rows: int
    other_rows: int


def find_neighbours(table: FolderTable, version: str, reduced: Numbers, count: int) -> Search:
    """Finds the nearest photos of reduced_features by comparing with every one, some thousand at a time.

    Args:
        table: The table reduced_features.
        version: Version of the PCA model; numbers of two models cannot be compared.
        reduced: Reduced features of the photos to find neighbours of, of shape (N, k).
        count: Neighbours of each.
    """

    def search(file: DataFile) -> Search:
        rows_at_a_time = max(1, _NUMBERS_AT_A_TIME // reduced.shape[1])
        with table.reading(file) as opened:
            batches = opened.iter_batches(rows_at_a_time, columns=_COLUMNS)
            return _merge((_search_batch(batch, version, reduced, count) for batch in batches), len(reduced), count)

    with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return _merge(pool.map(search, table.files()), len(reduced), count)


def _search_batch(batch: pa.RecordBatch, version: str, reduced: Numbers, count: int) -> Search:
    comparable = np.flatnonzero(_equal(batch["pca_model"], version))
    others = batch.num_rows - len(comparable)
    if not len(comparable):
        return Search([[] for _ in reduced], 0, others)
    if others:
        batch = batch.take(pa.array(comparable.tolist(), pa.int64()))
    rows = matrix_of(batch["reduced"])
    return Search([list(_nearest(batch, rows, one, count)) for one in reduced], len(comparable), others)


def _nearest(batch: pa.RecordBatch, rows: Numbers, reduced: Numbers, count: int) -> Iterator[Neighbour]:
    difference = rows - reduced
    # The plain sum of squares: |a|^2 - 2ab + |b|^2 would be faster, and loses the digits of small distances.
    distances = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    nearest = np.argpartition(distances, count)[:count] if count < len(distances) else range(len(distances))
    for row in nearest:
        path, label, image_id = (batch[name][int(row)].as_py() for name in ("path", "label", "image_id"))
        yield Neighbour(float(distances[row]), path, label, image_id)


def _merge(searches: Iterable[Search], photos: int, count: int) -> Search:
    merged = Search([[] for _ in range(photos)], 0, 0)
    for one in searches:
        pairs = zip(merged.neighbours, one.neighbours, strict=True)
        neighbours = [heapq.nsmallest(count, chain(*pair)) for pair in pairs]
        merged = Search(neighbours, merged.rows + one.rows, merged.other_rows + one.other_rows)
    return merged


def _equal(values: pa.StringArray, wanted: str) -> NDArray[np.bool_]:
    # Not pyarrow.compute, which imports pandas to see whether its arguments come from there.
    encoded = values.dictionary_encode()
    indices = np.frombuffer(encoded.indices.buffers()[1], np.int32)[: len(values)]
    found = encoded.dictionary.to_pylist()
    equal: NDArray[np.bool_] = indices == (found.index(wanted) if wanted in found else -1)
    return equal


def labels_of(neighbours: Sequence[Neighbour]) -> list[NearLabel]:
    """Returns the labels of neighbours, the nearest first.

    Args:
        neighbours: Those of one photo, the nearest first.
    """
    found: dict[str, list[Neighbour]] = {}
    for one in neighbours:
        found.setdefault(one.label, []).append(one)
    return [NearLabel(label, of[0].distance, len(of), of[0].path) for label, of in found.items()]
