"""Stores of made-up features, in seconds: like sequences of frames, or real features with noise added."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness.feature_files import as_lists
from spark_steps.features.weights import FEATURES
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import write_file
from spark_steps.tables.folder_table import TableChange
from spark_steps.tables.schemas import FEATURES_SCHEMA, matrix_of

Features = NDArray[np.float32]
_PHOTOS_OF_LABEL, _FRAMES = 500, 20


def real_features(store: Store) -> Features:
    """Returns the features of all photos of a store, of shape (N, 1280)."""
    columns = store.mobilenet_features.arrow(["features"])["features"].drop_null()
    return np.concatenate([matrix_of(chunk) for chunk in columns.chunks])


def sequences(rows: int, random: np.random.Generator) -> Iterator[Features]:
    """Yields the features of each label: sequences of frames, each near to the one before.

    Two frames that follow each other have a cosine of 0.98 or so, two of different sequences of a label one of 0.8 to
    0.9, and two of different labels one of 0.6 or so.
    """
    for start in range(0, rows, _PHOTOS_OF_LABEL):
        of_label = np.clip(random.normal(0.3, 0.4, FEATURES), 0, None)
        found: list[Features] = []
        for _ in range(min(_PHOTOS_OF_LABEL, rows - start)):
            if len(found) % _FRAMES == 0:
                frame = np.clip(of_label + random.normal(scale=0.2, size=FEATURES), 0, None)
            frame = np.clip(frame + random.normal(scale=0.06, size=FEATURES), 0, None)
            found.append(frame.astype(np.float32))
        yield np.array(found)


def jittered(rows: int, real: Features, random: np.random.Generator) -> Iterator[Features]:
    """Yields the features of each label: those of real photos with noise, weak or strong."""
    lengths = np.linalg.norm(real, axis=1)
    for start in range(0, rows, _PHOTOS_OF_LABEL):
        size = min(_PHOTOS_OF_LABEL, rows - start)
        chosen = random.integers(len(real), size=size)
        strength = random.uniform(0.05, 0.5, size=size) * lengths[chosen] / np.sqrt(FEATURES)
        noise = random.standard_normal((size, FEATURES), np.float32) * strength[:, np.newaxis].astype(np.float32)
        yield np.clip(real[chosen] + noise, 0, None).astype(np.float32)


def write_store(root: Path, parts: Iterator[Features]) -> Store:
    """Writes the features as a table mobilenet_features: a folder for each label."""
    store, written, count = Store(str(root)), [], 0
    table = store.mobilenet_features
    for number, features in enumerate(parts):
        folder, size = f"Label {number:05d}", len(features)
        absent = {field.name: pa.nulls(size, field.type) for field in FEATURES_SCHEMA}
        columns = {
            "image_id": [hashlib.sha256(str(count + row).encode()).hexdigest() for row in range(size)],
            "path": [f"{folder}/IMG_{count + row:09d}.jpg" for row in range(size)],
            "label": [folder] * size,
            "features": as_lists(features),
            "model": ["made up"] * size,
        }
        rows = pa.table({**absent, **columns}, FEATURES_SCHEMA)
        written.append(write_file(table.root, folder, rows.to_batches()))
        count += size
    table.log.create()
    table.commit(written, TableChange(table.snapshot(), None, (), frozenset(file.folder for file in written)))
    return store
