"""All photos of a store, reduced by its current PCA model, even if another model has reduced their rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaModel
from spark_steps.store.staleness import named
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.footers import files_by_folder, table_totals
from spark_steps.tables.schemas import matrix_of
from spark_steps.tables.totals import folders_to_reduce, of_others

Numbers = NDArray[np.float32]
_TEXTS = ["label", "path", "image_id"]
# 4 MB of float32 for each open file.
_NUMBERS_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class ComparableFile:
    """A file of photos whose reduced features are comparable with those of other files.

    Attributes:
        table: Its table: reduced_features, or mobilenet_features, whose rows are projected when they are read.
        file: The file.
        model: The current PCA model.
    """

    table: FolderTable
    file: DataFile
    model: PcaModel

    @property
    def column(self) -> str:
        """The column with the numbers: ``reduced`` or ``features``."""
        return "reduced" if "reduced" in self.table.schema.names else "features"

    def batches(self) -> Iterator[tuple[pa.RecordBatch, Numbers]]:
        """Yields batches of photos: label, path and image_id, and the reduced features of shape (N, k).

        Raises:
            TableChangedError: The file has been replaced since it was listed.
        """
        column = self.column
        width = self.model.k if column == "reduced" else len(self.model.mean)
        rows = max(1, _NUMBERS_AT_A_TIME // width)
        with self.table.reading(self.file) as opened:
            # One row group for each call: pyarrow reads all row groups that it is given before the first batch.
            for group in range(opened.num_row_groups):
                for batch in opened.iter_batches(rows, row_groups=[group], columns=[*_TEXTS, column]):
                    if column == "reduced":
                        yield batch, matrix_of(batch[column])
                    else:
                        good = batch.filter(batch[column].is_valid())
                        yield good, self.model.project(matrix_of(good[column]))


@dataclass(frozen=True)
class Comparable:
    """All photos of a store, to be compared with.

    Attributes:
        files: The files to read.
        photos: Number of photos in them.
        projected: Number of these photos that are projected when they are read, because the reduced features of their
            folders are stale or missing.
        projected_folders: The folders of the projected photos, sorted.
    """

    files: list[ComparableFile]
    photos: int
    projected: int
    projected_folders: list[str]


def comparable(store: Store, model: PcaModel) -> Comparable:
    """Finds the photos of a store from logs and footers, without reading rows.

    Args:
        store: The store.
        model: Its PCA model.

    Raises:
        FruitsError: Some photos cannot be projected: their features are missing, or of another network than the
            model's.
    """
    return store.reduced_features.while_unchanged(lambda: _comparable(store, model))


def _comparable(store: Store, model: PcaModel) -> Comparable:
    tables = store.mobilenet_features, store.reduced_features
    of_features, of_reduced = (files_by_folder(table) for table in tables)
    features, reduced = table_totals(tables[0], of_features), table_totals(tables[1], of_reduced)
    if others := of_others(features, model.features_model):
        raise FruitsError(
            f"{sum(features[folder].vectors for folder in others):,} photos, in {named(others)}, have features of "
            f"another network than PCA model {model.version}, so not all photos can be compared with. {store.remedy}"
        )
    projected = folders_to_reduce(features, reduced, model.version)
    if lost := sorted(projected - set(features)):
        raise FruitsError(
            f"{sum(reduced[folder].rows for folder in lost):,} photos, in {named(lost)}, are reduced by another PCA "
            f"model than the current {model.version}, and their features are not there to be projected. {store.remedy}"
        )
    files = [
        ComparableFile(table, file, model)
        for table, by_folder, wanted in (
            (tables[1], of_reduced, set(of_reduced) - projected),
            (tables[0], of_features, projected),
        )
        for folder in sorted(wanted)
        for file in by_folder[folder]
    ]
    at_once = sum(features[folder].vectors for folder in projected)
    ready = sum(totals.rows for folder, totals in reduced.items() if folder not in projected)
    return Comparable(files, ready + at_once, at_once, sorted(projected))
