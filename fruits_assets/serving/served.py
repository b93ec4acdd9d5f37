"""A store in memory, its PCA model, network and photos of one version; and when a newer version is loaded."""

import os
from dataclasses import dataclass, replace
from enum import Enum, auto

from spark_steps.errors import FruitsError
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaModel
from spark_steps.queries.approximate import ApproximateIndex
from spark_steps.queries.comparable import comparable
from spark_steps.queries.identify import network_of
from spark_steps.queries.photo_index import PhotoIndex, load_index
from spark_steps.queries.recall import Recall, tune
from spark_steps.store.store import Store

# A run makes a new PCA model current, and then reduces all photos by it. To read the store in between takes the
# features of all photos, 25 times as much: wait for the run as long as this.
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class StoreVersion:
    """Which version of a store there is.

    Attributes:
        pca_model: Version of the current PCA model, None before there is one.
        tables: Version of each table that is read, by name; -1 before there is one.
        files: The files of these tables. Their names are never used again.
    """

    pca_model: str | None
    tables: tuple[tuple[str, int], ...]
    files: frozenset[str]

    def holds_the_same(self, other: "StoreVersion") -> bool:
        """Returns whether another version has the same photos and numbers, if not the same versions of tables."""
        return (self.pca_model, self.files) == (other.pca_model, other.files)


def version_of(store: Store) -> StoreVersion:
    """Returns the newest version of a store.

    Raises:
        FruitsError: It cannot be read.
    """
    tables = {"mobilenet_features": store.mobilenet_features, "reduced_features": store.reduced_features}
    pca_model = model_store.current_version(store.pca_models)
    snapshots = {name: table.snapshot() for name, table in tables.items()}
    files = frozenset(f"{name}/{file.path}" for name, now in snapshots.items() for file in now.files)
    return StoreVersion(pca_model, tuple((name, now.version) for name, now in snapshots.items()), files)


@dataclass(frozen=True)
class ServedStore:
    """What answers are made of; nothing of it changes, but that erased photos are withdrawn from the index.

    Attributes:
        version: The version of the store.
        pca: The PCA model.
        network: The network that made the features of the photos.
        index: The photos.
        projected: Number of photos that were projected when they were read.
        recall: Recall of the approximate index; None where the search is exact.
    """

    version: StoreVersion
    pca: PcaModel
    network: bytes
    index: PhotoIndex
    projected: int
    recall: Recall | None

    def at(self, version: StoreVersion) -> "ServedStore":
        """Returns the same photos as those of a later version."""
        return replace(self, version=version)


def load(store: Store, exact_up_to: int, *, whole_only: bool) -> ServedStore | None:
    """Reads the newest version of a store into memory.

    Args:
        store: The store.
        exact_up_to: Number of photos above which an approximate index is built.
        whole_only: Whether to read nothing while photos are not reduced by the current PCA model yet, as in the middle
            of a run.

    Returns:
        The store; None where it is not whole.

    Raises:
        FruitsError: The store cannot be read, its photos cannot be compared, or none has features.
    """
    return store.reduced_features.while_unchanged(lambda: _load(store, exact_up_to, whole_only))


def _load(store: Store, exact_up_to: int, whole_only: bool) -> ServedStore | None:
    # Before the photos are read: what is committed meanwhile is found at the next look.
    version = version_of(store)
    pca = store.existing_pca_model()
    network = network_of(store, pca)
    photos = comparable(store, pca)
    if not photos.photos:
        raise FruitsError(f"No photo of {store.root} has features. See the reasons: fruits report {store.option}")
    if photos.projected and whole_only:
        return None
    index, recall = load_index(photos), None
    if index.photos > exact_up_to:
        index.approximate = ApproximateIndex(index.numbers, os.cpu_count() or 1)
        recall = tune(index)
    return ServedStore(version, pca, network, index, photos.projected, recall)


class Step(Enum):
    """What to do about the newest version of a store."""

    NOTHING = auto()
    RELABEL = auto()
    LOAD_IF_WHOLE = auto()
    LOAD = auto()


@dataclass(frozen=True)
class Watch:
    """What is known of versions that do not answer yet.

    Attributes:
        broken: A version that could not be loaded, and is not tried again before it changes.
        outdated_since: When a newer version was first seen, seconds; None where the newest one answers.
    """

    broken: StoreVersion | None = None
    outdated_since: float | None = None

    def next_step(self, served: StoreVersion | None, newest: StoreVersion, now: float) -> Step:
        """Decides what to do about the newest version.

        Args:
            served: The version that answers; None before there is one.
            newest: The newest version.
            now: Seconds on the same clock as ``outdated_since``.
        """
        if served is None:
            return Step.LOAD
        if newest == served:
            return Step.NOTHING
        if newest.holds_the_same(served):
            return Step.RELABEL
        if self.broken == newest:
            return Step.NOTHING
        waited = 0.0 if self.outdated_since is None else now - self.outdated_since
        return Step.LOAD if waited >= PATIENCE_SECONDS else Step.LOAD_IF_WHOLE
