"""Finds the PCA models that were fitted on given photos, from the digest of photos in a model's version."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow.compute as pc
from pyarrow import fs

from spark_steps.pca import model_store
from spark_steps.pca.moments import version_of
from spark_steps.storage import locations
from spark_steps.store.store import Store
from spark_steps.tables.totals import digest_of

_ROWS_AT_A_TIME = 65_536


@dataclass(frozen=True)
class SeenBy:
    """A PCA model that was fitted on one of the photos, or may have been.

    Attributes:
        version: Its version.
        certain: Whether it is certain; if not, the model may have been fitted on one of them.
        current: Whether it is the current model of the store.
    """

    version: str
    certain: bool
    current: bool


@dataclass(frozen=True)
class Photos:
    """A set of photos with features.

    Attributes:
        count: Number of photos.
        digest: Sum of their image ids, as in ``Moments``.
        folders: The folders of the photos.
    """

    count: int = 0
    digest: int = 0
    folders: frozenset[str] = frozenset()

    def without(self, other: "Photos") -> "Photos":
        """Returns these photos without a subset of them; the folders stay."""
        return Photos(self.count - other.count, digest_of([self.digest, -other.digest]), self.folders)


def models_that_saw(
    store: Store, image_ids: Collection[str], former_folders: frozenset[str] = frozenset()
) -> list[SeenBy]:
    """Returns the models of a store that were fitted on given photos, or may have been, the current one first.

    Args:
        store: The store, before the rows of the photos are removed.
        image_ids: The photos.
        former_folders: Folders that have rows of the photos in former versions of the table.
    """
    present, asked = store.mobilenet_features.while_unchanged(lambda: photos_with_features(store, image_ids))
    asked = replace(asked, folders=asked.folders | former_folders)
    if not asked.folders:
        return []
    current = model_store.current_version(store.pca_models)
    found = []
    for version in locations.list_directories(store.pca_models):
        location = f"{store.pca_models}/{version}/model.json"
        if locations.file_type(location) != fs.FileType.File:
            continue
        certain = saw(locations.read_json(location), present, asked)
        if certain is not False:
            found.append(SeenBy(version, certain is True, version == current))
    return sorted(found, key=lambda one: (not one.current, not one.certain, one.version))


def saw(model: Mapping[str, Any], present: Photos, asked: Photos) -> bool | None:
    """Returns whether a model was fitted on given photos; None if that is unknown.

    A model's version is a hash that includes the number of its photos and the sum of their image ids (``version_of``).
    So two cases can be recognised: the model was fitted on all photos that have features now, or on all but the
    given ones.

    Args:
        model: Its ``model.json``.
        present: All photos that have features now.
        asked: The given photos among them. Its folders include those where given photos had features in the past.
    """
    if asked.folders.isdisjoint(model["folders"]):
        return False
    if _version(model, present) == model["version"]:
        return asked.count > 0
    if _version(model, present.without(asked)) == model["version"]:
        return False
    return None


def _version(model: Mapping[str, Any], photos: Photos) -> str:
    asked = model["asked_variance"] or model["asked_components"]
    return version_of(photos.count, photos.digest, model["features_model"], asked)


def photos_with_features(store: Store, image_ids: Collection[str]) -> tuple[Photos, Photos]:
    """Returns all photos that have features, and the given photos among them."""
    wanted, table = frozenset(image_ids), store.mobilenet_features
    present, asked = Photos(), Photos()
    with locations.translate_errors(table.root):
        for file in table.files():
            with table.reading(file) as opened:
                for rows in opened.iter_batches(_ROWS_AT_A_TIME, columns=["image_id", "error"]):
                    ids = rows.filter(pc.is_null(rows["error"]))["image_id"].to_pylist()
                    present = _with(present, ids, file.folder)
                    asked = _with(asked, [one for one in ids if one in wanted], file.folder)
    return present, asked


def _with(photos: Photos, image_ids: list[str], folder: str) -> Photos:
    if not image_ids:
        return photos
    digest = digest_of([photos.digest, *_numbers(image_ids)])
    return Photos(photos.count + len(image_ids), digest, photos.folders | {folder})


def _numbers(image_ids: Iterable[str]) -> Iterable[int]:
    return (int(image_id, 16) for image_id in image_ids)
