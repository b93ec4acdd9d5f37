"""Exports features to one file for other programs, CSV, NPZ or Parquet, in batches and without Spark."""

import zipfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from spark_steps.at_exit import temporary_directory
from spark_steps.errors import FruitsError
from spark_steps.queries.exports.rows import REDUCED_OF_ALL, Census, Rows, Selection, rows_of
from spark_steps.queries.exports.target import whole_or_not_at_all
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import tables_of
from spark_steps.tables.schemas import with_folder

# The names of the arrays of texts in an NPZ file.
_ARRAYS = {"image_id": "ids", "path": "paths", "folder": "folders", "label": "labels", "split": "split"}


def export_csv(store: Store, target: Path, selection: Selection = REDUCED_OF_ALL, *, force: bool = False) -> int:
    """Writes image_id, path, folder, label and a column for each number; returns the number of rows.

    The columns are ``reduced_1`` to ``reduced_k``, or ``feature_1`` to ``feature_1280``; before them is ``split``, if
    it is selected. Numbers have as many digits as are needed to read back the same float32. Texts are in quotes, by
    which some readers tell the label ``007`` from a number, and ``null`` from no label.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        selection: What is exported.
        force: Replace the file, if there is one.

    Raises:
        FruitsError: The store has nothing to export, or not all photos that have features are reduced by the current
            PCA model; or the photos are in no split; or the file exists already or cannot be written.
    """
    rows, count = rows_of(store, selection), 0
    stem = rows.numbers.removesuffix("s")
    names = [*rows.texts, *(f"{stem}_{number}" for number in range(1, rows.width + 1))]
    types = [*(pa.string() for _ in rows.texts), *(pa.float32() for _ in range(rows.width))]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with whole_or_not_at_all(target, force) as partial, pa.csv.CSVWriter(partial, schema) as writer:
        for batch in rows.batches():
            # A copy of each column: the writer takes whole arrays only, without a stride.
            numbers = np.ascontiguousarray(rows.matrix(batch).T)
            writer.write_table(pa.table([*(batch[name] for name in rows.texts), *numbers], schema))
            count += batch.num_rows
    return count


def export_parquet(store: Store, target: Path, selection: Selection = REDUCED_OF_ALL, *, force: bool = False) -> int:
    """Writes image_id, path, folder, label, the numbers and their version as Parquet; returns the number of rows.

    The columns of numbers and version are ``reduced`` and ``pca_model``, or ``features`` and ``model``; the numbers are
    a list of float32. After ``label`` is ``split``, if it is selected.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        selection: What is exported.
        force: Replace the file, if there is one.

    Raises:
        FruitsError: As ``export_csv`` does.
    """
    rows, count = rows_of(store, selection), 0
    of_table = with_folder(rows.table.schema).append(pa.field("split", pa.string()))
    schema = pa.schema([of_table.field(name) for name in (*rows.texts, rows.numbers, rows.made_by)])
    with (
        whole_or_not_at_all(target, force) as partial,
        # No dictionary encoding for the numbers: they hardly repeat, and building the dictionary takes time.
        pq.ParquetWriter(partial, schema, use_dictionary=[*rows.texts, rows.made_by]) as writer,
    ):
        for table in tables_of(rows.batches()):
            writer.write_table(table.select(schema.names))
            count += table.num_rows
    return count


def export_npz(store: Store, target: Path, selection: Selection = REDUCED_OF_ALL, *, force: bool = False) -> int:
    """Writes the rows as the arrays of an NPZ file, which loads without pickle; returns the number of rows.

    The arrays: ``X``, float32 of shape (N, k) or (N, 1280); ``labels``, ``ids``, ``paths``, ``folders`` and, if it is
    selected, ``split``, text of shape (N,); ``label_ids``, int64 of shape (N,), each the place of a label in
    ``classes``, the sorted labels of all photos of the store; and the versions, ``pca_model`` or ``model``, and
    ``audit`` beside a split.

    Args:
        store: The store.
        target: The file to write, or a pipe or a device, which is written to.
        selection: What is exported.
        force: Replace the file, if there is one.

    Raises:
        FruitsError: As ``export_csv`` does.
    """
    # An array's header needs the number of rows and the length of the longest text. So the files are read twice, to
    # measure and to write; they are never modified in between.
    rows = rows_of(store, selection)
    census = rows.census()
    with (
        whole_or_not_at_all(target, force) as partial,
        temporary_directory(".fruits-", partial.parent) as scratch,
        zipfile.ZipFile(partial, "w", allowZip64=True) as archive,
    ):
        short = {"classes": np.array(census.classes), **{name: np.array(one) for name, one in rows.versions.items()}}
        for name, array in short.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)
        # An archive takes one file at a time, and X is by far the largest: it goes there at once, the others later.
        others = _other_arrays(rows, census)
        with ExitStack() as closing:
            # Features hardly shrink, and to compress them takes longer than all the rest: X is stored as it is.
            matrix = closing.enter_context(archive.open(zipfile.ZipInfo("X.npy"), "w", force_zip64=True))
            streams = {name: closing.enter_context((scratch / f"{name}.npy").open("wb")) for name in others}
            _write_arrays(rows, census, matrix, streams, others)
        for name in others:
            # Compress: numpy pads each text to the longest one, and texts shrink to a tenth or less.
            archive.write(scratch / f"{name}.npy", f"{name}.npy", zipfile.ZIP_DEFLATED)
    return census.rows


def _other_arrays(rows: Rows, census: Census) -> dict[str, DTypeLike]:
    """Returns the types of the arrays beside X that have an entry for each row, by name."""
    texts: dict[str, DTypeLike] = {_ARRAYS[name]: f"<U{census.widths[name]}" for name in rows.texts}
    return {**texts, "label_ids": np.int64}


def _write_arrays(
    rows: Rows, census: Census, matrix: IO[bytes], streams: Mapping[str, IO[bytes]], types: Mapping[str, DTypeLike]
) -> None:
    _begin(matrix, np.float32, (census.rows, rows.width))
    for name, stream in streams.items():
        _begin(stream, types[name], (census.rows,))
    count = 0
    for batch in rows.batches():
        _append(matrix, rows.matrix(batch), np.float32)
        for name in rows.texts:
            _append(streams[_ARRAYS[name]], batch[name].to_pylist(), types[_ARRAYS[name]])
        _append(streams["label_ids"], census.ids_of(batch["label"]).to_pylist(), np.int64)
        count += batch.num_rows
    if count != census.rows:
        raise FruitsError(
            f"{rows.table.root} has photos with neither features nor an error. Take the table from a backup, or delete "
            "its directory and run again."
        )


def _begin(stream: IO[bytes], dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)


def _append(stream: IO[bytes], rows: NDArray[Any] | Iterable[Any], dtype: DTypeLike) -> None:
    stream.write(np.ascontiguousarray(rows, dtype).tobytes())
