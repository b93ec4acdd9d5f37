"""Stores of random features and of splits, made in seconds and without photos."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness.feature_files import as_lists
from spark_steps.features.weights import FEATURES
from spark_steps.queries.splits import PARTS
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import FEATURES_SCHEMA, SPLITS_SCHEMA
from spark_steps.tables.snapshots import DataFile

_FOLDERS = 20
_ROWS_OF_BATCH = 2048


def make_store(photos: int, root: Path) -> Store:
    """Makes a store of features that nothing compresses, in folders of equal size, and of their splits."""
    store, random = Store(str(root)), np.random.default_rng(0)
    features: list[DataFile] = []
    splits: list[DataFile] = []
    for number, rows in enumerate(np.array_split(np.arange(photos, dtype=np.int64), min(_FOLDERS, photos))):
        folder = f"Fruit {number:05d}"
        parts = (
            _features(folder, rows[at : at + _ROWS_OF_BATCH], random) for at in range(0, len(rows), _ROWS_OF_BATCH)
        )
        features.append(write_file(store.mobilenet_features.root, folder, parts))
        splits.append(write_file(store.photo_splits.root, folder, [_splits(folder, rows)]))
    for table, files in ((store.mobilenet_features, features), (store.photo_splits, splits)):
        _commit(table, files)
    return store


def _commit(table: FolderTable, files: Sequence[DataFile]) -> None:
    table.log.create()
    table.commit(files, TableChange(table.snapshot(), None, (), frozenset(file.folder for file in files)))


def _named(folder: str, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
    return {
        "image_id": pa.array([hashlib.sha256(str(row).encode()).hexdigest() for row in rows]),
        "path": pa.array([f"{folder}/IMG_{row:09d}.jpg" for row in rows]),
        "label": pa.array([folder] * len(rows)),
    }


def _features(folder: str, rows: NDArray[np.int64], random: np.random.Generator) -> pa.RecordBatch:
    known = {
        **_named(folder, rows),
        "length": pa.array(np.full(len(rows), 5000)),
        "modification_time": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(rows), pa.timestamp("us", tz="UTC")),
        "features": as_lists(random.random((len(rows), FEATURES), np.float32)),
        "model": pa.array(["network"] * len(rows)),
    }
    return _of_schema(known, FEATURES_SCHEMA, len(rows))


def _splits(folder: str, rows: NDArray[np.int64]) -> pa.RecordBatch:
    known = {
        **_named(folder, rows),
        "split": pa.array([PARTS[max(0, row % 10 - 7)] for row in rows]),
        "audit": pa.array(["audit"] * len(rows)),
    }
    return _of_schema(known, SPLITS_SCHEMA, len(rows))


def _of_schema(known: dict[str, pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    columns = [known.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
