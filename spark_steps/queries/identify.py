"""Reduces single photos as the photos of a store were reduced, without Spark, and finds their nearest photos there."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyarrow import fs

from spark_steps.errors import FruitsError, UnusablePhotoError
from spark_steps.features.extractor import FeatureExtractor
from spark_steps.features.network import NetworkSpec
from spark_steps.features.weights import find_network
from spark_steps.pca.model import PcaModel
from spark_steps.photos.decoding import decode
from spark_steps.photos.fetching import fetch
from spark_steps.photos.limits import DecodeLimits
from spark_steps.queries.comparable import comparable
from spark_steps.queries.neighbours import Near, find_neighbours
from spark_steps.storage import locations
from spark_steps.store.store import Store


@dataclass(frozen=True)
class ReducedPhoto:
    """A photo as a store would reduce it.

    Attributes:
        photo: Its path or URI, as the user gave it.
        image_id: sha256 of its bytes.
        reduced: Its k numbers.
    """

    photo: str
    image_id: str
    reduced: NDArray[np.float32]


@dataclass(frozen=True)
class Identified:
    """A photo and the nearest photos of a store."""

    photo: ReducedPhoto
    near: Near


@dataclass(frozen=True)
class Identification:
    """The results for the given photos.

    Attributes:
        pca_model: Version of the PCA model that reduced them.
        identified: The photos that could be read, with their nearest photos.
        refused: For each other photo, a message with the reason.
        photos: Number of photos of the store, which all photos were compared with.
        projected: Number of these photos that were projected when they were read, because their reduced features are
            stale or missing.
        projected_folders: The folders of the projected photos, sorted.
        weights_source: Source of the network's weights.
    """

    pca_model: str
    identified: list[Identified]
    refused: dict[str, str]
    photos: int
    projected: int
    projected_folders: list[str]
    weights_source: str


def network_of(store: Store, pca: PcaModel) -> bytes:
    """Returns the network that made the features which a PCA model was fitted on, as ``extractor_of`` takes it.

    Raises:
        FruitsError: It is not in the store's cache.
    """
    network = find_network(pca.features_model, store.mobilenet_models)
    if network is None:
        weights = pca.weights.get("source", "WEIGHTS")
        raise FruitsError(
            f"The network that made the features ({pca.features_model[:12]}) is not in {store.mobilenet_models}, or "
            "this version of fruits treats pixels otherwise. "
            + (store.remedy if store.as_of else f"{store.remedy} --weights {weights}")
        )
    model, spec = network
    return json.dumps(spec.as_record()).encode() + b"\0" + model


def extractor_of(network: bytes) -> FeatureExtractor:
    """Returns what runs a network of ``network_of``, in this process or another one that was sent it."""
    record, _, model = network.partition(b"\0")
    return FeatureExtractor(model, NetworkSpec.of_record({"network": json.loads(record)}))


def features_of(content: bytes, extractor: FeatureExtractor, max_pixels: int) -> NDArray[np.float32]:
    """Returns the features of a photo from its bytes.

    Args:
        content: The file's bytes.
        extractor: What runs the network.
        max_pixels: Limit of decoding.

    Raises:
        UnusablePhotoError: It cannot be decoded.
    """
    return extractor.extract(decode(content, max_pixels, extractor.spec.size))


class Reducer:
    """A store's network and PCA model, for single photos."""

    def __init__(self, store: Store) -> None:
        """Loads the PCA model and the network that made the features it was fitted on.

        Raises:
            FruitsError: The store has no PCA model, or the network is not in its cache.
        """
        self.pca: PcaModel = store.existing_pca_model()
        self._extractor = extractor_of(network_of(store, self.pca))

    def reduce(self, photo: str, limits: DecodeLimits) -> ReducedPhoto:
        """Returns a photo's reduced features; it is read, decoded, run and projected as the photos of the store were.

        Raises:
            FruitsError: The photo cannot be read or decoded.
        """
        content = _read(photo, limits)
        try:
            features = features_of(content, self._extractor, limits.max_pixels)
        except UnusablePhotoError as error:
            raise FruitsError(f"{photo}: {error}.") from error
        return ReducedPhoto(photo, hashlib.sha256(content).hexdigest(), self.pca.project(features[np.newaxis])[0])


def _read(photo: str, limits: DecodeLimits) -> bytes:
    location = locations.normalise(photo)
    try:
        kind = locations.file_type(location)
    except OSError as error:
        raise FruitsError(f"{photo} cannot be read: {error}.") from error
    if kind == fs.FileType.NotFound:
        raise FruitsError(f"There is no photo {photo}. Check the path.")
    if kind != fs.FileType.File:
        raise FruitsError(f"{photo} is no file. Give photos, one or more.")
    (content,) = fetch([(location, 0)], limits.fetch)
    if isinstance(content, UnusablePhotoError):
        raise FruitsError(f"{photo}: {content}.")
    return content


def identify(photos: list[str], store: Store, count: int, limits: DecodeLimits) -> Identification:
    """Finds the nearest photos of a store for each of the given photos, among all that have features.

    Args:
        photos: Paths or URIs.
        store: The store.
        count: Neighbours of each photo.
        limits: What is read and decoded.

    Raises:
        FruitsError: The photos of the store, or some of them, cannot be compared with.
    """
    reducer = Reducer(store)
    all_photos = comparable(store, reducer.pca)
    if not all_photos.photos:
        raise FruitsError(f"No photo of {store.root} has features. See the reasons: fruits report {store.option}")
    reduced: list[ReducedPhoto] = []
    refused: dict[str, str] = {}
    for photo in photos:
        try:
            reduced.append(reducer.reduce(photo, limits))
        except FruitsError as error:
            refused[photo] = str(error)
    near = find_neighbours(all_photos.files, np.stack([one.reduced for one in reduced]), count) if reduced else []
    return Identification(
        reducer.pca.version,
        [Identified(*pair) for pair in zip(reduced, near, strict=True)],
        refused,
        all_photos.photos,
        all_photos.projected,
        all_photos.projected_folders,
        str(reducer.pca.weights.get("source", "")),
    )
