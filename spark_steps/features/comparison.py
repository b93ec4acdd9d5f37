"""Compares the photos of raw_images with their rows in mobilenet_features, without Spark: which are to be computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_steps.photos.decoding import ERASED, may_depend_on_limit
from spark_steps.photos.limits import DecodeLimits
from spark_steps.storage.parallel import for_each
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.footers import remember
from spark_steps.tables.row_ranges import FileRows, compare
from spark_steps.tables.schemas import by_folder

_ROWS_AT_A_TIME = 65_536


@dataclass(frozen=True)
class FolderWork:
    """The work that a folder needs.

    Attributes:
        kept: Number of rows that stay unchanged.
        computed: Number of photos that are new, have changed, or are to be retried.
        outdated: Number of existing rows of photos that are gone or have changed.
    """

    kept: int
    computed: int
    outdated: int

    @property
    def is_current(self) -> bool:
        """Whether the folder's rows are up to date."""
        return self.computed == 0 and self.outdated == 0


@dataclass(frozen=True)
class Recheck:
    """Rows whose photos have a new modification time. A row stays if the bytes of its photo are the same.

    Attributes:
        file: A file of mobilenet_features.
        rows: The row numbers, ascending.
        modified: The present modification time of each photo, microseconds since 1970.
    """

    file: DataFile
    rows: list[int]
    modified: list[int]


@dataclass(frozen=True)
class FolderPlan:
    """The plan for a folder.

    Attributes:
        work: The work as counts.
        computed: Rows of raw_images whose features are to be computed.
        rewritten: For each file to remove, the rows that stay and the rows to recheck.
    """

    work: FolderWork
    computed: list[FileRows]
    rewritten: list[tuple[FileRows, Recheck]]


def plan_folder(
    raw: FolderTable,
    photos: Sequence[DataFile],
    features: FolderTable,
    existing: Sequence[DataFile],
    fingerprint: str | None,
    max_pixels: int,
) -> FolderPlan:
    """Plans the rows of a folder in mobilenet_features.

    A row stays if the network, the photo's path, length and modification time, and the error of the listing are the
    same, and the limit of pixels where it may decide whether the photo is decoded.

    Args:
        raw: The table raw_images.
        photos: The folder's files of it.
        features: The table mobilenet_features.
        existing: The folder's files of it.
        fingerprint: The network whose rows may stay; None to compute every row again.
        max_pixels: The limit of ``DecodeLimits``. Rows of photos that were decoded under another limit stay if the two
            limits do the same with them.
    """
    if not existing:
        # No comparison is needed: the rows are assigned to tasks without reading them.
        count = sum(file.rows for file in photos)
        return FolderPlan(FolderWork(0, count, 0), [FileRows.all_of(file) for file in photos], [])
    sources = [(file, row) for file in photos for row in range(file.rows)]
    listed = [row for file in photos for row in _listed_rows(raw, file)]
    rows = [_existing_rows(features, file, fingerprint, max_pixels) for file in existing]
    difference = compare(listed, rows)
    kept, rechecked = sum(map(len, difference.kept)), set[int]()
    # The numbers of the missing rows without an error of the listing, by path and length.
    moved = {listed[number][:2]: number for number in difference.new if not listed[number][3]}
    rewritten = []
    for file, keys, stay in zip(existing, rows, difference.kept, strict=True):
        if len(stay) < file.rows:
            left = sorted(set(range(file.rows)) - set(stay))
            same = {row: moved.pop(key[:2]) for row in left if (key := keys[row]) and not key[3] and key[:2] in moved}
            recheck = Recheck(file, list(same), [listed[number][2] for number in same.values()])
            rewritten.append((FileRows(file, stay), recheck))
            rechecked |= set(same.values())
    new = [sources[number] for number in difference.new if number not in rechecked]
    computed = [FileRows(file, [row for _, row in some]) for file, some in groupby(new, key=itemgetter(0))]
    work = FolderWork(kept, len(difference.new), sum(file.rows for file in existing) - kept)
    return FolderPlan(work, computed, rewritten)


# Path, length in bytes, modification time in microseconds, and the error of the listing, "" for none.
_Key = tuple[str, int, int, str]


def _listed_rows(raw: FolderTable, file: DataFile) -> list[_Key]:
    with raw.reading(file) as opened:
        rows = _columns(opened, ["path", "length", "modification_time", "error"])
        return [(path, length, modified, error or "") for path, length, modified, error in rows]


def _existing_rows(
    features: FolderTable, file: DataFile, fingerprint: str | None, max_pixels: int
) -> list[_Key | None]:
    """Returns the keys of a file's rows, None for rows that must be computed again in any case."""
    names = ["path", "length", "modification_time", "error", "image_id", "model", "format", "width", "height"]
    keys: list[_Key | None] = []
    with features.reading(file) as opened:
        # Older releases recorded no limit. Few stores had another one than the default.
        limits = remember(features, file, opened).max_pixels or {DecodeLimits().max_pixels}
        others = [limit for limit in limits if limit != max_pixels]
        for path, length, modified, error, image_id, model, kind, width, height in _columns(opened, names):
            reason = (error or "").partition(":")[0]
            # An error without an image_id is that of the listing, or of a failed reading, which no listing has: photos
            # that were read have an image_id, unless they were erased.
            of_listing = error if error and image_id is None and reason != ERASED else ""
            depends = image_id and any(may_depend_on_limit(kind, width, height, one, max_pixels) for one in others)
            keys.append((path, length, modified, of_listing) if model == fingerprint and not depends else None)
    return keys


def _columns(opened: pq.ParquetFile, names: list[str]) -> Iterator[tuple[Any, ...]]:
    for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=names):
        columns = [batch[name] for name in names]
        columns[2] = columns[2].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        yield from zip(*(column.to_pylist() for column in columns), strict=True)


def folders_to_compute(
    raw: FolderTable, features: FolderTable, folders: Sequence[str], fingerprint: str, max_pixels: int
) -> list[str]:
    """Returns the folders in which ``plan_features`` would change a row; it compares what that function compares.

    Args:
        raw: The table raw_images.
        features: The table mobilenet_features.
        folders: The folders.
        fingerprint: The network whose rows may stay.
        max_pixels: See ``plan_folder``.
    """
    photos, existing = by_folder(raw.files(folders), folders), by_folder(features.files(folders), folders)

    def is_current(folder: str) -> bool:
        return plan_folder(raw, photos[folder], features, existing[folder], fingerprint, max_pixels).work.is_current

    return [folder for folder, current in zip(folders, for_each(is_current, folders), strict=True) if not current]
