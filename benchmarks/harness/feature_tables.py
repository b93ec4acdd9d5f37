"""Tables of made-up features in the layout of the product's store, to fit PCAs to."""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.harness.feature_files import as_lists
from spark_steps.features.weights import FEATURES, MobileNetModel
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable

NETWORK = MobileNetModel(b"", fingerprint="made-up", source="made-up", weights_sha256="made-up")
_FOLDERS = 20
_ROWS_PER_GROUP = 8192
# As many directions as real features have that matter.
_DIRECTIONS = 600


def table_of(store: str) -> FolderTable:
    """Returns the table mobilenet_features of a store."""
    return Store(store).mobilenet_features


def make_features_table(directory: Path, rows: int) -> Path:
    """Returns a store with so many rows of correlated features, made where it is not there; the same every time."""
    store = directory / f"features-{rows}"
    if (store / "whole").exists():
        return store
    shutil.rmtree(store, ignore_errors=True)
    table, random = table_of(str(store)), np.random.default_rng(0)
    strength = np.arange(1, _DIRECTIONS + 1) ** -0.5
    mixing = (strength[:, np.newaxis] * random.standard_normal((_DIRECTIONS, FEATURES))).astype(np.float32)
    numbers = np.array_split(np.arange(rows), _FOLDERS)
    for folder, of_folder in enumerate(numbers):
        name = f"Fruit {folder:02d}"
        parts = [of_folder[at : at + _ROWS_PER_GROUP] for at in range(0, len(of_folder), _ROWS_PER_GROUP)]
        batches = [_rows(part, name, random, mixing) for part in parts if len(part)]
        made = DriverRows({name: [pa.Table.from_batches([batch]) for batch in batches]})
        table.write(table.replacement(made, [name]))
    (store / "whole").touch()
    return store


def _rows(numbers: np.ndarray, folder: str, random: np.random.Generator, mixing: np.ndarray) -> pa.RecordBatch:
    count = len(numbers)
    features = random.standard_normal((count, _DIRECTIONS), dtype=np.float32) @ mixing
    features += random.standard_normal((count, FEATURES), dtype=np.float32)
    # Not negative and far from zero, as what comes out of a ReLU6 and an average.
    features = np.clip(features * 0.1 + 3, 0, 6)
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
    columns = {
        "image_id": pa.array(ids),
        "path": pa.array([f"/made-up/{folder}/{number}.jpg" for number in numbers]),
        "label": pa.array([folder] * count),
        "length": pa.array(np.full(count, 5000), pa.int64()),
        "modification_time": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * count, pa.timestamp("us", tz="UTC")),
        "format": pa.array(["JPEG"] * count),
        "width": pa.array(np.full(count, 100), pa.int32()),
        "height": pa.array(np.full(count, 100), pa.int32()),
        "features": as_lists(features),
        "model": pa.array([NETWORK.fingerprint] * count),
        "error": pa.array([None] * count, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)
