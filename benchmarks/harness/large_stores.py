"""Stores of a million reduced photos and more, made of a small one in seconds, to look up photos in."""

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness.feature_files import as_lists
from spark_steps.features.weights import FEATURES
from spark_steps.pca.model import PcaModel
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import matrix_of
from spark_steps.tables.snapshots import DataFile

_FOLDERS = 100
_ROWS_OF_BATCH = 8192
# Of the numbers added to those of a real photo, in standard deviations of each component.
_SPREAD = 0.3


def make_large_store(small: str, rows: int, directory: Path) -> str:
    """Returns a store of so many photos with network and PCA model of a small one, made where it is missing.

    The reduced features are those of the small store's photos, with noise added. The features, which nobody reads to
    look up a photo, are zeros: their files have totals in their footers, as those of real ones.

    Args:
        small: A store that ``fruits run`` has made.
        rows: Photos.
        directory: Where it goes.
    """
    of, root = Store(small), directory / f"large-{rows}"
    if (root / "whole").exists():
        return str(root)
    shutil.rmtree(root, ignore_errors=True)
    store = Store(str(root))
    for used in ("mobilenet_models", "pca_models"):
        shutil.copytree(getattr(of, used), getattr(store, used))
    pca, random = of.existing_pca_model(), np.random.default_rng(0)
    reduced = np.concatenate([matrix_of(part) for part in of.reduced_features.arrow(["reduced"])["reduced"].chunks])
    written: dict[str, list[DataFile]] = {"reduced_features": [], "mobilenet_features": []}
    for number, of_folder in enumerate(np.array_split(np.arange(rows), min(_FOLDERS, rows))):
        folder = f"Fruit {number:05d}"
        parts = list(_reduced_rows(folder, of_folder, reduced, pca, random))
        written["reduced_features"].append(write_file(store.reduced_features.root, folder, parts))
        features = (_with_features(part, pca.features_model) for part in parts)
        written["mobilenet_features"].append(write_file(store.mobilenet_features.root, folder, features))
    for name, files in written.items():
        table: FolderTable = store.tables[name]
        table.log.create()
        table.commit(files, TableChange(table.snapshot(), None, (), frozenset(file.folder for file in files)))
    (root / "whole").touch()
    return str(root)


def _reduced_rows(
    folder: str, numbers: NDArray[np.int64], real: NDArray[np.float32], pca: PcaModel, random: np.random.Generator
) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(numbers), _ROWS_OF_BATCH):
        part = numbers[start : start + _ROWS_OF_BATCH]
        noise = random.standard_normal((len(part), pca.k), np.float32) * real.std(axis=0) * np.float32(_SPREAD)
        columns = {
            "image_id": pa.array([hashlib.sha256(str(number).encode()).hexdigest() for number in part]),
            "path": pa.array([f"{folder}/IMG_{number:09d}.jpg" for number in part]),
            "label": pa.array([folder] * len(part)),
            "reduced": as_lists(real[random.integers(len(real), size=len(part))] + noise),
            "pca_model": pa.array([pca.version] * len(part)),
        }
        yield pa.RecordBatch.from_pydict(columns)


def _with_features(rows: pa.RecordBatch, network: str) -> pa.RecordBatch:
    count = len(rows)
    columns = {
        **{name: rows[name] for name in ("image_id", "path", "label")},
        "length": pa.array(np.full(count, 5000), pa.int64()),
        "modification_time": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", tz="UTC")),
        "format": pa.array(["JPEG"] * count),
        "width": pa.array(np.full(count, 100), pa.int32()),
        "height": pa.array(np.full(count, 100), pa.int32()),
        "features": as_lists(np.zeros((count, FEATURES), np.float32)),
        "model": pa.array([network] * count),
        "error": pa.nulls(count, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)
