"""Saves and loads the PCA models of a store, in ``<root>/<version>/``; readers see complete versions only."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from spark_steps.errors import FruitsError
from spark_steps.pca.model import ANALYSED_COMPONENTS, PcaModel, PcaSettings
from spark_steps.pca.spark_ml import write_spark_ml
from spark_steps.storage import locations
from spark_steps.tables.schemas import matrix_of

_CURRENT = "current.json"


def save(model: PcaModel, root: str) -> None:
    """Writes a model, unless it exists already and can be read, and makes it the current one.

    ``model.json`` is written last. Readers ignore a version without it, so an incomplete model is never used.

    Args:
        model: The model.
        root: Directory of all versions, a normalised location.
    """
    if load_if_sound(root, model.version) is None:
        write_spark_ml(model, f"{root}/{model.version}/pipeline")
        _write_numbers(model, root)
    locations.write_json(f"{root}/{_CURRENT}", {"version": model.version})


def _write_numbers(model: PcaModel, root: str) -> None:
    directory = f"{root}/{model.version}"
    table = pa.table(
        {
            "component": pa.array(range(1, len(model.components) + 1), pa.int32()),
            "explained_variance_ratio": model.explained_variance_ratio[: len(model.components)],
            "loadings": pa.array(list(model.components), pa.list_(pa.float64())),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    locations.write_bytes(f"{directory}/components.parquet", buffer.getvalue())
    document = {
        "version": model.version,
        "features_model": model.features_model,
        "features_version": model.features_version,
        "weights": model.weights,
        "rows": model.rows,
        "folders": model.folders,
        "k": model.k,
        "asked_components": model.asked_components,
        "asked_variance": model.asked_variance,
        "variance_kept": model.explained_at(model.k),
        "mean": model.mean.tolist(),
        "scale": model.scale.tolist(),
        "explained_variance_ratio": model.explained_variance_ratio[:ANALYSED_COMPONENTS].tolist(),
        "components_for": {f"{share:.0%}": model.components_for(share) for share in (0.9, 0.95, 0.99)},
        # Also those of components above 350, to look up other shares of variance later.
        "all_explained_variance_ratio": model.explained_variance_ratio.tolist(),
    }
    locations.write_json(f"{directory}/model.json", document)


def exists(root: str, version: str) -> bool:
    """Returns whether a version exists and is complete."""
    return bool(locations.file_type(f"{root}/{version}/model.json") == fs.FileType.File)


def load_if_sound(root: str, version: str | None = None) -> PcaModel | None:
    """Returns a model, by default the current one; None if there is none, or a file of it is lost or damaged."""
    try:
        return load(root, version)
    except (FruitsError, OSError, ValueError, KeyError, TypeError):
        return None


def current_version(root: str) -> str | None:
    """Returns the version that the next projection uses, None if there is none yet."""
    if locations.file_type(f"{root}/{_CURRENT}") != fs.FileType.File:
        return None
    version: str = locations.read_json(f"{root}/{_CURRENT}")["version"]
    return version


def asked_before(root: str) -> PcaSettings | None:
    """Returns the requested settings of the current model, None if there is none yet."""
    version = current_version(root)
    if version is None or not exists(root, version):
        return None
    document = locations.read_json(f"{root}/{version}/model.json")
    return PcaSettings.of(document["asked_components"], document["asked_variance"])


def load(root: str, version: str | None = None) -> PcaModel:
    """Returns a model, by default the current one.

    Raises:
        FruitsError: There is no model, or none of that version, or a part of it is missing.
    """
    version = version or current_version(root)
    if version is None or not exists(root, version):
        raise FruitsError(
            f"There is no PCA model {version or ''} under {root}. Fit one first (fruits run, or the job fit_pca)."
        )
    document = locations.read_json(f"{root}/{version}/model.json")
    try:
        data = locations.read_bytes(f"{root}/{version}/components.parquet")
    except FileNotFoundError as error:
        raise FruitsError(
            f"components.parquet of PCA model {version} under {root} is missing. Take it from a backup, or delete the "
            "model's directory and fit the PCA again (fruits run, or the job fit_pca)."
        ) from error
    with pa.BufferReader(data) as stream, pq.ParquetFile(stream) as opened:
        table = opened.read()
    return PcaModel(
        version=document["version"],
        features_model=document["features_model"],
        rows=document["rows"],
        folders=document["folders"],
        k=document["k"],
        asked_components=document["asked_components"],
        asked_variance=document["asked_variance"],
        mean=np.array(document["mean"]),
        scale=np.array(document["scale"]),
        components=matrix_of(table["loadings"].combine_chunks()),
        explained_variance_ratio=np.array(document["all_explained_variance_ratio"]),
        weights=document["weights"],
        features_version=document.get("features_version"),
    )
