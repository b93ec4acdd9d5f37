"""A whole store of real photos that this process makes, without Spark: for whoever looks photos up in it."""

import hashlib
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.weights import load_model, make_current
from spark_steps.pca.model import PcaModel, PcaSettings, solve
from spark_steps.pca.model_store import save
from spark_steps.pca.moments import Moments
from spark_steps.photos.decoding import decode
from spark_steps.photos.limits import DecodeLimits
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.deferred_rows import DriverRows
from spark_steps.tables.folder_table import FolderTable

_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_COMPONENTS = 8


def write_served_store(
    store: Store, images: str, network_file: Path, components: int = _COMPONENTS, *, reduce: bool = True
) -> PcaModel:
    """Makes all tables, the network and the PCA model of the photos below an images root, and returns the model.

    Args:
        store: The store; what it has of the folders is replaced.
        images: The images root, folders of photos.
        network_file: The network, a .tflite file.
        components: PCA components.
        reduce: Whether the photos are reduced by the new model, which is current in any case.
    """
    store.claim_images(images)
    network = load_model(str(network_file), store.mobilenet_models)
    make_current(network, store.mobilenet_models)
    extractor = FeatureExtractor(network.flatbuffer)
    rows: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    features: list[np.ndarray] = []
    for info in sorted(locations.list_files(images, recursive=True), key=lambda info: info.path):
        folder, _, name = info.path.removeprefix(images.removeprefix("s3://") + "/").rpartition("/")
        content = locations.read_bytes(f"{images}/{folder}/{name}")
        features.append(extractor.extract(decode(content, DecodeLimits().max_pixels)))
        rows[folder].append(
            {
                "image_id": hashlib.sha256(content).hexdigest(),
                "path": f"{folder}/{name}",
                "label": folder.rpartition("/")[2],
                "length": len(content),
                "modification_time": _TIME,
                "format": "JPEG",
                "width": 100,
                "height": 100,
                "features": features[-1],
                "model": network.fingerprint,
            }
        )
    every = [row for of_folder in rows.values() for row in of_folder]
    moments = Moments.of_rows(np.stack(features), [str(row["image_id"]) for row in every])
    solved = solve(moments, network.fingerprint, PcaSettings(components), sorted(rows))
    model = replace(solved, weights={"source": str(network_file), "sha256": network.weights_sha256})
    save(model, store.pca_models)
    for row, reduced in zip(every, model.project(np.stack(features)), strict=True):
        row |= {"reduced": reduced, "pca_model": model.version}
    for table in (store.raw_images, store.mobilenet_features, *([store.reduced_features] if reduce else [])):
        _write(table, rows)
    return model


def _write(table: FolderTable, rows: dict[str, list[dict[str, object]]]) -> None:
    tables = {
        folder: [
            pa.Table.from_pylist([{name: row.get(name) for name in table.schema.names} for row in some], table.schema)
        ]
        for folder, some in rows.items()
    }
    table.write(table.replacement(DriverRows(tables), list(tables)))
