"""The drift of photos from the PCA model: how much of their variance the model does not explain; without Spark."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spark_steps.errors import FruitsError
from spark_steps.pca.model import PcaModel
from spark_steps.storage.parallel import for_each
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import DataFile, FolderTable
from spark_steps.tables.schemas import by_folder, matrix_of

# These take 100 MB; 50 photos tell the mean of a file to some hundredths.
_MOST_PHOTOS, _LEAST_OF_FILE = 20_000, 50
_MOST_FILES_AT_A_TIME = 4
_ROWS_AT_A_TIME = 100
# Read pages when they are needed, instead of a file's first row group of 40 MB.
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Drift:
    """How well the PCA model describes some photos.

    Attributes:
        photos: Number of photos that were looked at.
        unexplained: Mean share of a photo's standardised variance that the model does not explain, from 0 to 1.
        relative: The same divided by that of all photos: 1 if the photos are as all photos are.
    """

    photos: int
    unexplained: float
    relative: float


@dataclass(frozen=True)
class StoreDrift:
    """The drift of a store's photos.

    Attributes:
        all_photos: The drift of all photos, whose ``relative`` is 1; None if no photo has features.
        newer: The drift of photos that got features after the model was fitted; None if there are none, or if it is
            not known which they are.
        folders: The drift of the photos of each folder, sorted.
    """

    all_photos: Drift | None = None
    newer: Drift | None = None
    folders: Mapping[str, Drift] = field(default_factory=dict)


def drift_of(store: Store) -> StoreDrift:
    """Compares the photos of each folder with the store's PCA model.

    In a store of more than 20,000 photos the first ones of each file stand for all of the file.

    Args:
        store: The store.

    Raises:
        FruitsError: The store has no PCA model, or its features have another width than the model.
    """
    model, features = store.existing_pca_model(), store.mobilenet_features
    return features.while_unchanged(lambda: _drift_of(features, model))


def _drift_of(features: FolderTable, model: PcaModel) -> StoreDrift:
    files = features.files()
    most = max(_LEAST_OF_FILE, _MOST_PHOTOS // max(1, len(files)))
    whole = sum(file.rows for file in files) <= _MOST_PHOTOS
    limits = [file.rows if whole else most for file in files]
    shares = for_each(
        lambda one: _unexplained(features, *one, model), zip(files, limits, strict=True), _MOST_FILES_AT_A_TIME
    )
    # A file of which only the first rows were read stands for all of its rows.
    weighted = [
        (file, some, file.rows / limit if len(some) == limit else 1.0)
        for file, some, limit in zip(files, shares, limits, strict=True)
        if len(some)
    ]
    if not weighted:
        return StoreDrift()
    mean = _mean((some, weight) for _, some, weight in weighted)
    folders = sorted({file.folder for file, _, _ in weighted})
    of_folder = {
        folder: _drift([(some, weight) for file, some, weight in weighted if file.folder == folder], mean)
        for folder in folders
    }
    added = _files_after(features, files, model)
    newer = [(some, weight) for file, some, weight in weighted if file.path in added]
    return StoreDrift(
        _drift([(some, weight) for _, some, weight in weighted], mean),
        _drift(newer, mean) if newer else None,
        of_folder,
    )


def _mean(parts: Iterable[tuple[NDArray[np.float64], float]]) -> float:
    sums = [(weight * some.sum(), weight * len(some)) for some, weight in parts]
    return float(sum(total for total, _ in sums) / sum(count for _, count in sums))


def _drift(parts: list[tuple[NDArray[np.float64], float]], of_all: float) -> Drift:
    mean = _mean(parts)
    # A model with all components explains everything, up to rounding errors.
    relative = mean / of_all if of_all > 1e-9 else 1.0
    return Drift(sum(len(some) for some, _ in parts), mean, relative)


def _unexplained(features: FolderTable, file: DataFile, most: int, model: PcaModel) -> NDArray[np.float64]:
    """Returns the share of each photo's standardised variance that the kept components do not explain."""
    found: list[NDArray[np.float64]] = []
    with features.reading(file, buffer_bytes=_BUFFER_BYTES) as opened:
        for batch in opened.iter_batches(min(most, _ROWS_AT_A_TIME), columns=["features"]):
            good = batch.filter(batch["features"].is_valid())["features"]
            if len(good):
                found.append(_shares(matrix_of(good), model))
            if sum(map(len, found)) >= most:
                break
    return np.concatenate(found)[:most] if found else np.empty(0)


def _shares(rows: NDArray[np.float32], model: PcaModel) -> NDArray[np.float64]:
    if rows.shape[1] != len(model.mean):
        raise FruitsError(
            f"The features have {rows.shape[1]} numbers, and the PCA model {model.version} is of {len(model.mean)}. "
            "Make the features of all folders and the PCA anew (fruits run, or the job whole_pipeline)."
        )
    standardised = (rows - model.mean) / model.scale
    explained = np.square(standardised @ model.components[: model.k].T).sum(axis=1)
    total = np.square(standardised).sum(axis=1)
    # A photo that is the mean of all has no variance to explain.
    shares: NDArray[np.float64] = np.where(total > 0, 1 - explained / np.where(total > 0, total, 1), 0)
    return shares.clip(0, 1)


def _files_after(features: FolderTable, files: Iterable[DataFile], model: PcaModel) -> set[str]:
    """Returns the files that have come after the model was fitted.

    Where former files of a folder have been rewritten since, its files may hold old photos too, and are left out.
    """
    if model.features_version is None:
        return set()
    former = FolderTable(features.root, features.schema, model.features_version)
    try:
        before = former.files()
    except FruitsError:
        # The log no longer reaches back to that version.
        return set()
    now = list(files)
    there = {file.path for file in now}
    rewritten = {file.folder for file in before if file.path not in there}
    known = {file.path for file in before}
    left = by_folder(now, {file.folder for file in now} - rewritten)
    return {file.path for some in left.values() for file in some if file.path not in known}
