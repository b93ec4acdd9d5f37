"""The rows of an export: which photos, which numbers of them, and their split; read in batches, without Spark."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.queries.splits import Splits, splits_of
from spark_steps.store.staleness import named, staleness_of
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.footers import folder_totals
from spark_steps.tables.schemas import matrix_of, with_folder, with_folder_column
from spark_steps.tables.totals import of_others

TEXTS = ("image_id", "path", "folder", "label")
_OF_TABLE = ("image_id", "path", "label")
# 4 MB of float32.
_NUMBERS_AT_A_TIME = 1 << 20
_MOST_ROWS_AT_A_TIME = 8192


@dataclass(frozen=True)
class Selection:
    """What an export writes of a store.

    Attributes:
        full: Whether the numbers are the features of the network, 1280 of MobileNetV2, or those reduced by the PCA.
        split: Whether the part of each photo is written too.
        only: The only part to write, one of ``PARTS``, with its name; None for all photos.
    """

    full: bool = False
    split: bool = False
    only: str | None = None


REDUCED_OF_ALL = Selection()


@dataclass(frozen=True)
class Census:
    """Totals of the rows of an export, which some formats need before the first row.

    Attributes:
        rows: Number of rows.
        widths: Characters of the longest text of each column of texts.
        classes: The labels of all photos of the store, of every part, sorted. A label's place among them is its
            ``label_id``, which so is the same in every part.
    """

    rows: int
    widths: dict[str, int]
    classes: list[str]

    def ids_of(self, labels: pa.Array) -> pa.Array:
        """Returns the ``label_id`` of labels, int64."""
        return pc.index_in(labels, value_set=pa.array(self.classes, pa.string())).cast(pa.int64())


@dataclass(frozen=True)
class Rows:
    """The rows of an export.

    Attributes:
        store: The store.
        table: Their table.
        files: Its files, of one version, folder after folder.
        numbers: The column of numbers: ``reduced`` or ``features``.
        width: How many numbers a photo has.
        made_by: The column with the version of what has made the numbers: ``pca_model`` or ``model``.
        version: That version, which all rows share.
        splits: The split, if it is exported.
        only: The only part to write, None for all.
    """

    store: Store
    table: FolderTable
    files: Sequence[DataFile]
    numbers: str
    width: int
    made_by: str
    version: str
    splits: Splits | None
    only: str | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of texts."""
        return TEXTS if self.splits is None else (*TEXTS, "split")

    @property
    def versions(self) -> dict[str, str]:
        """The versions of what has made the rows, by name."""
        audit = {} if self.splits is None else {"audit": self.splits.audit}
        return {self.made_by: self.version, **audit}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the rows, folder after folder, with the columns of texts, of numbers and ``made_by``.

        Raises:
            FruitsError: There is no row; or the files have been replaced in the meantime.
        """
        found = False
        for photos in self._photos([*_OF_TABLE, self.numbers, self.made_by]):
            self._check(photos)
            wanted = self._wanted(photos)
            if wanted.num_rows:
                found = True
                yield wanted
        if not found:
            raise self._nothing()

    def matrix(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Returns the numbers of a batch, of shape (N, width), without a copy."""
        return matrix_of(batch[self.numbers])

    def census(self) -> Census:
        """Reads the texts of all rows.

        Raises:
            FruitsError: As ``batches`` does.
        """
        rows, widths, classes = 0, dict.fromkeys(self.texts, 1), set[str]()
        # Only rows without features have an error. To look for null features instead, all of them would be read.
        columns = [*_OF_TABLE, *(["error"] if self.numbers == "features" else [])]
        for photos in self._photos(columns):
            classes.update(photos["label"].unique().to_pylist())
            wanted = self._wanted(photos)
            rows += wanted.num_rows
            if wanted.num_rows:
                widths = {name: max(width, _longest(wanted[name])) for name, width in widths.items()}
        if not rows:
            raise self._nothing()
        return Census(rows, widths, sorted(classes))

    def _photos(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        rows = _MOST_ROWS_AT_A_TIME
        if self.numbers in columns:
            rows = max(1, min(rows, _NUMBERS_AT_A_TIME // self.width))
        for folder, files in groupby(self.files, key=lambda file: file.folder):
            parts = None if self.splits is None else self.splits.of_folder(folder)
            for file in files:
                with self.table.reading(file) as opened:
                    # One row group for each call: pyarrow reads all row groups that it is given before the first batch.
                    for group in range(opened.num_row_groups):
                        for batch in opened.iter_batches(rows, row_groups=[group], columns=columns):
                            photos = with_folder_column(_with_numbers(batch), folder)
                            yield self._with_split(photos.cast(self._schema(photos.schema.names)), parts)

    def _schema(self, columns: Sequence[str]) -> pa.Schema:
        """Returns the types of columns: a file that another program has merged may have others for the same values."""
        schema = with_folder(self.table.schema)
        return pa.schema([schema.field(name) for name in columns])

    def _with_split(self, photos: pa.RecordBatch, parts: dict[str, str] | None) -> pa.RecordBatch:
        if parts is None:
            return photos
        try:
            split = [parts[path] for path in photos["path"].to_pylist()]
        except KeyError as error:
            raise FruitsError(
                f"Not all photos of {self.store.root} have a split: its tables have changed in the meantime, or are "
                f"not those of one store. Try again; if that does not help: fruits audit {self.store.option}"
            ) from error
        return photos.append_column("split", pa.array(split, pa.string()))

    def _wanted(self, photos: pa.RecordBatch) -> pa.RecordBatch:
        return photos if self.only is None else photos.filter(pc.equal(photos["split"], self.only))

    def _check(self, photos: pa.RecordBatch) -> None:
        # A run may have replaced a folder since all folders were checked.
        if set(photos[self.made_by].dictionary_encode().dictionary.to_pylist()) - {self.version}:
            what = "reduced photos by another PCA model" if self.made_by == "pca_model" else "used another network"
            raise FruitsError(f"A run has {what} in the meantime. Try again when it has ended.")
        if len(photos[self.numbers].flatten()) != photos.num_rows * self.width:
            raise FruitsError(
                f"Photos of {self.table.root} have more or fewer numbers than the {self.width} of the others. "
                f"{self.store.remedy}"
            )

    def _nothing(self) -> FruitsError:
        if self.only is not None:
            return FruitsError(
                f"No photo of {self.store.root} is in the part {self.only}, so there is nothing to write. "
                f"The parts are listed by: fruits audit {self.store.option}"
            )
        what = "reduced features" if self.numbers == "reduced" else "features"
        return FruitsError(f"No photo of {self.store.root} has {what}. {self.store.remedy}")


def rows_of(store: Store, selection: Selection) -> Rows:
    """Returns the rows of an export, after a look at logs and footers alone.

    Args:
        store: The store.
        selection: What of it is exported.

    Raises:
        FruitsError: The numbers of some photos are missing or cannot be compared with those of others; or the photos
            are in no split, and it is to be exported.
    """
    kind = _full if selection.full else _reduced
    table, numbers, width, made_by, version = kind(store)
    splits = splits_of(store) if selection.split or selection.only else None
    return Rows(store, table, table.files(), numbers, width, made_by, version, splits, selection.only)


def _reduced(store: Store) -> tuple[FolderTable, str, int, str, str]:
    model = store.existing_pca_model()
    if messages := staleness_of(store, listed=False).incomparable:
        raise FruitsError(f"{' '.join(messages)} So one file of all photos cannot be made. {store.remedy}")
    return store.reduced_features, "reduced", model.k, "pca_model", model.version


def _full(store: Store) -> tuple[FolderTable, str, int, str, str]:
    totals = {folder: one for folder, one in folder_totals(store.mobilenet_features).items() if one.vectors}
    if not totals:
        when = f"At {store.as_of} no" if store.as_of else "No"
        raise FruitsError(f"{when} photo of {store.root} has features. {store.remedy}")
    network = Counter(name for one in totals.values() for name in one.made_by).most_common(1)[0][0]
    if others := of_others(totals, network):
        raise FruitsError(
            f"The features in {named(others)} are of another network than the others. So one file of all photos cannot "
            f"be made. {store.remedy}"
        )
    # Footers have the sum of the vectors; there is none where they are of different lengths.
    width = next((len(one.sum) for one in totals.values() if one.sum is not None), 0)
    return store.mobilenet_features, "features", width, "model", network


def _with_numbers(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the rows that have features; all rows of reduced_features have."""
    names = batch.schema.names
    if "features" in names:
        return batch.filter(batch["features"].is_valid()) if batch["features"].null_count else batch
    return batch.filter(batch["error"].is_null()).drop_columns(["error"]) if "error" in names else batch


def _longest(texts: pa.Array) -> int:
    longest: int = pc.max(pc.utf8_length(texts)).as_py()
    return longest
