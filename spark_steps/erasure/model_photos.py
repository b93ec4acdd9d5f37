"""Which PCA models were fitted on a photo, from what a model's version says of its photos."""

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
    """A PCA model that saw a photo.

    Attributes:
        version: Its version.
        certain: Whether it did for certain; else it may have.
        current: Whether it is the one that photos are reduced by.
    """

    version: str
    certain: bool
    current: bool


@dataclass(frozen=True)
class Photos:
    """Photos with features.

    Attributes:
        count: How many.
        digest: Sum of their image ids, as ``Moments`` has it.
        folders: Folders they are in.
    """

    count: int = 0
    digest: int = 0
    folders: frozenset[str] = frozenset()

    def without(self, other: "Photos") -> "Photos":
        """Returns these photos without others of them; the folders stay."""
        return Photos(self.count - other.count, digest_of([self.digest, -other.digest]), self.folders)


def models_that_saw(
    store: Store, image_ids: Collection[str], former_folders: frozenset[str] = frozenset()
) -> list[SeenBy]:
    """Returns the models of a store that were fitted on some photos, or may have been, the current one first.

    Args:
        store: The store, as it is while it has the photos' rows.
        image_ids: The photos.
        former_folders: Folders in which former versions of the table have them.
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
    """Returns whether a model was fitted on some photos; None where that cannot be told.

    A version is made of the number of its photos and the sum of their image ids (``version_of``). So it can be told
    whether these are the photos that have features now, or those without the ones asked for.

    Args:
        model: Its ``model.json``.
        present: All photos that have features now.
        asked: Those of them that are asked for; its folders are also those of photos that had features once.
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
    """Returns all photos that have features, and those of them that are among some."""
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
