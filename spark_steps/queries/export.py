"""Exports the reduced features to one file for other programs, CSV, NPZ or Parquet, in batches and without Spark."""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaModel
from spark_steps.queries.export_target import whole_or_not_at_all
from spark_steps.store.staleness import staleness_of
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import tables_of
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.schemas import REDUCED_SCHEMA, matrix_of, with_folder, with_folder_column

_TEXTS = ("image_id", "path", "folder", "label")
_ROWS_AT_A_TIME = 8192


def export_csv(store: Store, target: Path, *, force: bool = False) -> int:
    """Writes image_id, path, folder, label and columns ``reduced_1`` to ``reduced_k``; returns the number of rows.

    Numbers have as many digits as are needed to read back the same float32. Texts are in quotes, by which some readers
    tell the label ``007`` from a number, and ``null`` from no label.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        force: Replace the file, if there is one.

    Raises:
        FruitsError: The store has nothing to export, or not all photos that have features are reduced by the current
            PCA model; or the file exists already or cannot be written.
    """
    model = _model_of_all(store)
    files, rows = store.reduced_features.files(), 0
    names = [*_TEXTS, *(f"reduced_{number}" for number in range(1, model.k + 1))]
    types = [*(pa.string() for _ in _TEXTS), *(pa.float32() for _ in range(model.k))]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with whole_or_not_at_all(target, force) as partial:
        with pa.csv.CSVWriter(partial, schema) as writer:
            for texts, numbers in _batches(store.reduced_features, files, model.version):
                # A copy of each column: the writer takes whole arrays only, without a stride.
                writer.write_table(pa.table([*texts, *np.ascontiguousarray(numbers.T)], schema))
                rows += len(numbers)
        _check_any(rows, store)
    return rows


def export_npz(store: Store, target: Path, *, force: bool = False) -> int:
    """Writes the rows as the arrays of an NPZ file, which loads without pickle; returns the number of rows.

    The arrays: ``X``, float32 of shape (N, k); ``labels``, ``ids``, ``paths`` and ``folders``, text of shape (N,); and
    ``pca_model``, the version.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        force: Replace the file, if there is one.

    Raises:
        FruitsError: The store has nothing to export, or not all photos that have features are reduced by the current
            PCA model; or the file exists already or cannot be written.
    """
    model = _model_of_all(store)
    # An array's header needs the number of rows and the length of the longest text. So the files are read twice, to
    # measure and to write; they are never modified in between.
    files, widths, rows = store.reduced_features.files(), [1] * len(_TEXTS), 0
    for texts, numbers in _batches(store.reduced_features, files, model.version):
        widths = [max(width, *map(len, column)) for width, column in zip(widths, texts, strict=True)]
        rows += len(numbers)
    _check_any(rows, store)
    names = dict(zip(_TEXTS, ("ids", "paths", "folders", "labels"), strict=True))
    with (
        whole_or_not_at_all(target, force) as partial,
        tempfile.TemporaryDirectory(dir=partial.parent, prefix=".fruits-") as scratch,
    ):
        arrays = {"X": np.lib.format.open_memmap(f"{scratch}/X.npy", "w+", np.float32, (rows, model.k))}
        for name, width in zip(_TEXTS, widths, strict=True):
            arrays[names[name]] = np.lib.format.open_memmap(f"{scratch}/{names[name]}.npy", "w+", f"<U{width}", (rows,))
        start = 0
        for texts, numbers in _batches(store.reduced_features, files, model.version):
            part = slice(start, start + len(numbers))
            arrays["X"][part] = numbers
            for name, column in zip(_TEXTS, texts, strict=True):
                arrays[names[name]][part] = column
            start += len(numbers)
        for array in arrays.values():
            array.flush()
        np.save(f"{scratch}/pca_model.npy", np.array(model.version))
        _zip(partial, [Path(scratch) / f"{name}.npy" for name in (*arrays, "pca_model")])
    return rows


def _zip(target: Path, files: list[Path]) -> None:
    # Compress: numpy pads each text to the longest one, and texts shrink to a tenth or less.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for file in files:
            archive.write(file, file.name)


def export_parquet(store: Store, target: Path, *, force: bool = False) -> int:
    """Writes image_id, path, folder, label, reduced (k float32) and pca_model as Parquet; returns the number of rows.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        force: Replace the file, if there is one.

    Raises:
        FruitsError: The store has nothing to export, or not all photos that have features are reduced by the current
            PCA model; or the file exists already or cannot be written.
    """
    model = _model_of_all(store)
    files, rows = store.reduced_features.files(), 0
    schema = pa.schema([with_folder(REDUCED_SCHEMA).field(name) for name in (*_TEXTS, "reduced", "pca_model")])
    with whole_or_not_at_all(target, force) as partial:
        # No dictionary encoding for the numbers: they hardly repeat, and building the dictionary takes time.
        with pq.ParquetWriter(partial, schema, use_dictionary=[*_TEXTS, "pca_model"]) as writer:
            for table in tables_of(_rows(store.reduced_features, files, model.version)):
                writer.write_table(table.select(schema.names).cast(schema))
                rows += table.num_rows
        _check_any(rows, store)
    return rows


def _batches(
    table: FolderTable, files: Iterable[DataFile], version: str
) -> Iterator[tuple[list[list[str]], NDArray[np.float32]]]:
    """Yields batches of rows, folder after folder: the text columns, and the reduced features of shape (N, k).

    Raises:
        FruitsError: The files have been replaced in the meantime.
    """
    for batch in _rows(table, files, version):
        yield [batch[name].to_pylist() for name in _TEXTS], matrix_of(batch["reduced"])


def _rows(table: FolderTable, files: Iterable[DataFile], version: str) -> Iterator[pa.RecordBatch]:
    for file in files:
        with table.reading(file) as opened:
            for batch in opened.iter_batches(_ROWS_AT_A_TIME, columns=table.schema.names):
                _check_version(batch, version)
                yield with_folder_column(batch, file.folder).replace_schema_metadata(None)


def _check_any(rows: int, store: Store) -> None:
    if not rows:
        raise FruitsError(f"No photo of {store.root} has reduced features. {store.remedy}")


def _model_of_all(store: Store) -> PcaModel:
    """Returns the PCA model by which all photos with features are reduced; a store with others is refused."""
    model = store.existing_pca_model()
    if messages := staleness_of(store, listed=False).incomparable:
        raise FruitsError(f"{' '.join(messages)} So one file of all photos cannot be made. {store.remedy}")
    return model


def _check_version(batch: pa.RecordBatch, version: str) -> None:
    # A run may have replaced a folder since all folders were checked.
    if set(batch["pca_model"].dictionary_encode().dictionary.to_pylist()) - {version}:
        raise FruitsError("A run has reduced photos by another PCA model in the meantime. Try again when it has ended.")
