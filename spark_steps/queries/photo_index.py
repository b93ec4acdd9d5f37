"""All photos of a store in memory, so that the nearest of a photo are found without reading the store again.

The search gives the photos and distances of ``neighbours.find_neighbours``. It estimates all squared distances by one
matrix product, which reads each number once, and computes the distances of those photos alone that may be among the
nearest for all that the estimate can be wrong. Above a number of photos an approximate index proposes the photos
instead (``approximate.py``); their distances are computed in the same way.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.queries.approximate import ApproximateIndex
from spark_steps.queries.comparable import Comparable, ComparableFile, Numbers
from spark_steps.queries.neighbours import Near, Neighbour, distances_to, first_of_labels
from spark_steps.storage import parallel

Rows = NDArray[np.int64]
ErasedAmong = Callable[[Sequence[str]], Collection[str]]
_ID_BYTES = 32
# Of the error of an estimate: a sum of k products has at most k roundings, and so have the two squares.
_ROUNDINGS_BESIDES = 8
_FILES_AT_A_TIME = 8
# After an erased photo was among the nearest, so many times as many are looked at.
_WIDER = 4


@dataclass(frozen=True)
class _FileOfPhotos:
    label: str
    numbers: Numbers
    image_ids: NDArray[np.uint8]
    paths: pa.Array


class PhotoIndex:
    """The reduced photos of a store, sorted by label.

    Threads may search at the same time. A photo that is withdrawn during a search may still be found by it.

    Attributes:
        labels: The labels, in the order of their photos.
        approximate: The index that proposes photos; None where all photos are looked at.
        photos: Number of photos that can be found.
    """

    def __init__(
        self,
        numbers: Numbers,
        image_ids: NDArray[np.uint8],
        paths: pa.ChunkedArray,
        labels: Sequence[str],
        starts: Sequence[int],
    ) -> None:
        """Takes photos over, without a copy.

        Args:
            numbers: Reduced features, of shape (N, k), photos of one label side by side.
            image_ids: sha256 of the photos, of shape (N, 32).
            paths: Their paths.
            labels: The labels.
            starts: The first row of each label.
        """
        self.labels = labels
        self.approximate: ApproximateIndex | None = None
        self._numbers, self._image_ids, self._paths = numbers, image_ids, paths
        self._starts = [*starts, len(numbers)]
        # Infinite for photos that were withdrawn, or whose numbers are not finite: they are further away than others.
        self._squares: Numbers = np.einsum("ij,ij->i", numbers, numbers)
        finite = np.isfinite(self._squares)
        self._squares[~finite], numbers[~finite] = np.inf, 0
        self._longest = float(np.sqrt(self._squares[finite].max(initial=0)))
        self.photos = int(finite.sum())

    @property
    def numbers(self) -> Numbers:
        """The reduced features, of shape (N, k)."""
        return self._numbers

    def find(self, reduced: Numbers, count: int, erased_among: ErasedAmong) -> Near:
        """Finds the photos near a photo, none of which has been erased.

        Args:
            reduced: The photo's reduced features, of shape (k,).
            count: Neighbours.
            erased_among: Returns those of some image ids that have been erased by now. They are withdrawn, and the
                search is made again, so that no trace of them is in the result.

        Raises:
            FruitsError: All photos have been erased.
        """
        width = count
        while True:
            near = self.near(reduced, width)
            if not near.labels:
                raise FruitsError("All photos that the store had have been erased.")
            seen = {one.image_id for one in (*near.neighbours, *near.labels)}
            gone = erased_among(sorted(seen))
            if not gone:
                return Near(near.neighbours[:count], near.labels)
            self.withdraw(gone)
            width *= _WIDER

    def withdraw(self, image_ids: Collection[str]) -> None:
        """Overwrites the numbers of photos, so that they are never found again; all copies of their bytes go.

        Their image ids stay: a search that is under way may still find one, and asks by its id whether it was erased.
        """
        wanted = {bytes.fromhex(image_id) for image_id in image_ids}
        begin = np.frombuffer(b"".join(one[:8] for one in wanted), np.uint64)
        for row in np.flatnonzero(np.isin(self._image_ids.view(np.uint64)[:, 0], begin)):
            if self._image_ids[row].tobytes() in wanted:
                self._squares[row] = np.inf
                self._numbers[row] = 0
        self.photos = int(np.isfinite(self._squares).sum())

    def near(self, reduced: Numbers, count: int, *, exact: bool = False) -> Near:
        """Finds the photos near a photo, among them those that were erased since they were read.

        Args:
            reduced: The photo's reduced features, of shape (k,).
            count: Neighbours.
            exact: Whether to look at all photos even where there is an approximate index.
        """
        propose = self._exactly(reduced) if exact or self.approximate is None else self._approximately(reduced)
        neighbours = self._nearest(propose(min(count, self.photos), None), reduced, count)
        if not neighbours:
            return Near()
        # The nearest photo of another label: all rows of the nearest one's label are left out.
        label = self.labels.index(neighbours[0].label)
        own = range(self._starts[label], self._starts[label + 1])
        others = self._nearest(propose(1, own), reduced, 1)
        return Near(neighbours, first_of_labels([neighbours[0], *others]))

    def _exactly(self, reduced: Numbers) -> Callable[[int, range | None], Rows]:
        """Returns a function that gives the rows which may be the nearest: of all, or outside of a range."""
        # |x|^2 - 2xq, the squared distance less |q|^2, which is the same for all.
        estimates = self._numbers @ reduced
        estimates *= -2
        estimates += self._squares
        most = self._longest + float(np.linalg.norm(reduced))
        roundings = len(reduced) + _ROUNDINGS_BESIDES
        # Twice: the estimate of one photo may be too small, and that of another too large.
        slack = 2 * roundings * float(np.finfo(np.float32).eps) * most * most
        return lambda count, without: _within(estimates, count, slack, without)

    def _approximately(self, reduced: Numbers) -> Callable[[int, range | None], Rows]:
        index = self.approximate
        assert index is not None  # noqa: S101
        return lambda count, without: index.nearest(reduced, count, without, self._is_live)

    def _is_live(self, rows: Rows) -> NDArray[np.bool_]:
        return np.isfinite(self._squares[rows])

    def _nearest(self, rows: Rows, reduced: Numbers, count: int) -> list[Neighbour]:
        """Returns the nearest of some rows, by distance and at equal distances by path."""
        if not len(rows):
            return []
        distances = distances_to(self._numbers[rows], reduced)
        if count < len(rows):
            near = distances <= np.partition(distances, count - 1)[count - 1]
            rows, distances = rows[near], distances[near]
        return heapq.nsmallest(count, map(self._neighbour, rows.tolist(), distances.tolist()))

    def _neighbour(self, row: int, distance: float) -> Neighbour:
        label = self.labels[bisect_right(self._starts, row) - 1]
        return Neighbour(distance, self._paths[row].as_py(), label, self._image_ids[row].tobytes().hex())


def _within(estimates: Numbers, count: int, slack: float, without: range | None) -> Rows:
    if without is None:
        if not count:
            return np.empty(0, np.int64)
        return np.flatnonzero(estimates <= np.partition(estimates, count - 1)[count - 1] + slack)
    before, after = estimates[: without.start], estimates[without.stop :]
    least = min(before.min(initial=np.inf), after.min(initial=np.inf))
    if not np.isfinite(least):
        return np.empty(0, np.int64)
    found = np.flatnonzero(before <= least + slack), np.flatnonzero(after <= least + slack) + without.stop
    return np.concatenate(found)


def load_index(photos: Comparable) -> PhotoIndex:
    """Reads all photos of a store into memory.

    Args:
        photos: The photos, at least one.

    Raises:
        TableChangedError: A file has been replaced since it was listed.
        FruitsError: The files hold other photos than their footers and names say.
    """
    numbers = np.empty((photos.photos, photos.files[0].model.k), np.float32)
    image_ids = np.empty((photos.photos, _ID_BYTES), np.uint8)
    paths: list[pa.Array] = []
    starts: dict[str, int] = {}
    row, label = 0, None
    # Photos of one label side by side, so that a label is a range of rows.
    for part in _read(sorted(photos.files, key=lambda file: (file.file.folder.rpartition("/")[2], file.file.folder))):
        end = row + len(part.numbers)
        if end > photos.photos or (part.label != label and part.label in starts):
            break
        numbers[row:end], image_ids[row:end] = part.numbers, part.image_ids
        paths.append(part.paths)
        label = part.label
        starts.setdefault(label, row)
        row = end
    if row != photos.photos:
        raise FruitsError(
            f"The files of the tables do not hold the {photos.photos:,} photos that their footers and folders say. "
            "Take the store from a backup, or delete the directory of reduced_features and run again."
        )
    return PhotoIndex(numbers, image_ids, pa.chunked_array(paths, pa.string()), list(starts), list(starts.values()))


def _read(files: Sequence[ComparableFile]) -> Iterator[_FileOfPhotos]:
    # A few at a time: what is read is copied, and then not needed any more.
    for start in range(0, len(files), _FILES_AT_A_TIME):
        yield from filter(None, parallel.for_each(_photos_of, files[start : start + _FILES_AT_A_TIME]))


def _photos_of(file: ComparableFile) -> _FileOfPhotos | None:
    parts = [(batch, rows) for batch, rows in file.batches() if len(rows)]
    if not parts:
        return None
    ids = "".join(one for batch, _ in parts for one in batch["image_id"].to_pylist())
    return _FileOfPhotos(
        parts[0][0]["label"][0].as_py(),
        np.concatenate([rows for _, rows in parts]),
        np.frombuffer(bytes.fromhex(ids), np.uint8).reshape(-1, _ID_BYTES),
        pa.concat_arrays([batch["path"] for batch, _ in parts]),
    )
