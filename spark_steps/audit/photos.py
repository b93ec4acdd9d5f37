"""The photos of an audit: their names and labels on the driver, and their features in tasks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.audit.cells import Features, Numbers
from spark_steps.storage.parallel import for_each
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.row_ranges import FileRows, split, task_sizes
from spark_steps.tables.schemas import FOLDER, matrix_of

_TEXTS = ("image_id", "path", "label")
_ROWS = pa.schema([*(pa.field(name, pa.string()) for name in _TEXTS), pa.field(FOLDER, pa.string())])
# This many rows of features take 10 MB, in each of the cells that they are sent to.
_MOST_ROWS = 2048


@dataclass(frozen=True)
class AuditedPhotos:
    """The photos of a store that have features.

    Photos with the same bytes and the same label are compared as one photo: otherwise a thousand copies of one photo
    would be its nearest neighbours. That one photo is called a distinct photo, and has a number from 0 to D - 1.

    Attributes:
        files: The files of mobilenet_features.
        rows: image_id, path, label and folder of each photo, in the order of the files; N rows.
        distinct: Number of the distinct photo of each photo, of shape (N,).
        label_names: The labels, sorted.
        labels: Label of each distinct photo, as a position in ``label_names``, of shape (D,).
        bytes_of: Which distinct photos have the same bytes: equal numbers, of shape (D,).
        of_rows: The number of the distinct photo that each row of a file stands for, by the file's path; -1 for rows
            without features and for further copies.
    """

    files: Sequence[DataFile]
    rows: pa.Table
    distinct: Numbers
    label_names: Sequence[str]
    labels: Numbers
    bytes_of: Numbers
    of_rows: Mapping[str, Numbers]

    @property
    def count(self) -> int:
        """Number of distinct photos."""
        return len(self.labels)

    def shares(self, cores: int) -> list[list[FileRows]]:
        """Returns the rows of the files for each task."""
        rows = [FileRows.all_of(file) for file in self.files]
        return split(rows, task_sizes(sum(file.rows for file in self.files), cores, _MOST_ROWS))


def read_photos(features: FolderTable, files: Sequence[DataFile]) -> AuditedPhotos:
    """Reads the names and labels of all photos that have features: about 250 bytes of each.

    Args:
        features: The table mobilenet_features.
        files: Its files.
    """
    parts = for_each(lambda file: _read_names(features, file), files)
    every = pa.concat_tables([rows for rows, _ in parts]) if parts else _ROWS.empty_table()
    usable = np.concatenate([mask for _, mask in parts]) if parts else np.zeros(0, np.bool_)
    rows = every.filter(pa.array(usable)).combine_chunks()
    images, _ = _codes(rows["image_id"])
    labels, names = _codes(rows["label"])
    keys = images.astype(np.int64) * max(1, len(names)) + labels
    _, first, distinct = np.unique(keys, return_index=True, return_inverse=True)
    numbers = np.full(len(usable), -1, np.int32)
    # Only the first photo of each set of copies takes part.
    numbers[np.flatnonzero(usable)[first]] = np.arange(len(first), dtype=np.int32)
    ends = np.cumsum([len(mask) for _, mask in parts])[:-1]
    of_rows = dict(zip((file.path for file in files), np.split(numbers, ends), strict=True)) if parts else {}
    return AuditedPhotos(files, rows, distinct.astype(np.int32), names, labels[first], images[first], of_rows)


def _read_names(features: FolderTable, file: DataFile) -> tuple[pa.Table, NDArray[np.bool_]]:
    with features.reading(file) as opened:
        rows = opened.read(columns=[*_TEXTS, "error"])
    usable = rows["error"].combine_chunks().is_null().to_numpy(zero_copy_only=False)
    folder = pa.array([file.folder] * rows.num_rows, pa.string())
    return rows.select(_TEXTS).append_column(FOLDER, folder).replace_schema_metadata(None).cast(_ROWS), usable


def _codes(texts: pa.ChunkedArray) -> tuple[Numbers, list[str]]:
    """Returns the position of each text among the sorted different texts, and these."""
    encoded = pa.chunked_array(texts.chunks or [[]], pa.string()).combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    position = np.empty(len(names), np.int32)
    position[order] = np.arange(len(names), dtype=np.int32)
    return position[encoded.indices.to_numpy(zero_copy_only=False)], [names[number] for number in order]


def unit_rows(
    features: FolderTable, items: Iterable[FileRows], of_rows: Mapping[str, Numbers]
) -> Iterator[tuple[Numbers, Features]]:
    """Yields the numbers of distinct photos, and their features divided by their lengths, of shape (N, D).

    Args:
        features: The table mobilenet_features.
        items: Rows of its files.
        of_rows: See ``AuditedPhotos``.
    """
    for one in items:
        start = 0
        for batch in one.read(features, ["features"]):
            numbers = of_rows[one.file.path][np.asarray(one.rows[start : start + len(batch)])]
            start += len(batch)
            taken = (numbers >= 0) & batch["features"].is_valid().to_numpy(zero_copy_only=False)
            if taken.any():
                yield numbers[taken], _unit(matrix_of(batch.filter(pa.array(taken))["features"]))


def _unit(rows: Features) -> Features:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)
