"""The steps that would bring a store up to date, found from listings and footers; no photo and no row is read."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import dagster as dg

from fruits_assets.automation.decisions import (
    RefitLimits,
    folders_to_featurise,
    new_photos,
    refit,
)
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.settings import Settings
from spark_steps.features.weights import current_model
from spark_steps.pca import model_store
from spark_steps.photos.listing import FolderContents, list_image_folders
from spark_steps.store.staleness import named
from spark_steps.store.store import Store
from spark_steps.tables.footers import files_by_folder, table_totals
from spark_steps.tables.totals import Totals, folders_to_reduce, sum_of

Report = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """A run that brings a part of a store up to date.

    Attributes:
        job: Name of the run's job.
        because: The reason, as a sentence.
        folders: The run's folders, each with the approximate number of photos to run through the network; empty for a
            job without partitions.
        photo_bytes: Average bytes of a photo.
    """

    job: str
    because: str
    folders: Mapping[str, int] = field(default_factory=dict)
    photo_bytes: float = 0.0

    @property
    def new_photos(self) -> int:
        """Approximate number of photos to run through the network."""
        return sum(self.folders.values())


class StoreSurvey:
    """A snapshot of a store and its photos from listings; footers of table files are read only when they are needed.

    Attributes:
        photos: Contents of each image folder.
        partitions: The folders that are partitions, in the order of registration.
        version: Version of the current PCA model, None before there is one.
        limits: Changes from which on the PCA is fitted again.
    """

    def __init__(self, settings: Settings, store: Store, instance: dg.DagsterInstance) -> None:
        self.photos: dict[str, FolderContents] = list_image_folders(settings.images).contents
        self.partitions = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
        self.version = model_store.current_version(store.pca_models)
        self.limits = RefitLimits(settings.refit_share, settings.refit_drift)
        self._store = store
        self._features = files_by_folder(store.mobilenet_features)
        self._reduced = files_by_folder(store.reduced_features)

    @cached_property
    def digest(self) -> str:
        """A hash of everything that the steps depend on: equal where nothing of it has changed."""
        files = [*self._features.values(), *self._reduced.values()]
        seen = repr((self.photos, self.partitions, self.version, self.limits, files))
        return hashlib.sha256(seen.encode()).hexdigest()[:16]

    @cached_property
    def features(self) -> dict[str, Totals]:
        """Totals of mobilenet_features, by folder."""
        return table_totals(self._store.mobilenet_features, self._features)

    @cached_property
    def _made_by(self) -> frozenset[str]:
        return sum_of(self.features.values()).made_by

    @cached_property
    def _network(self) -> str | None:
        """The current network where the features are of several networks, None where they are of one."""
        return current_model(self._store.mobilenet_models).fingerprint if len(self._made_by) > 1 else None

    def steps(self, report: Report) -> Iterator[Step]:
        """Yields the steps that are due, in order: the outcome of a step may change the steps after it.

        Args:
            report: Takes the findings, a sentence at a time.
        """
        for look in (self._featurise, self._fit, self._reduce):
            if step := look(report):
                report(step.because)
                yield step

    def _featurise(self, report: Report) -> Step | None:
        if others := sorted(set(self.photos) - set(self.partitions)):
            report(f"Not partitions yet: {named(others)}; sync_image_folders registers what is new.")
        changed = folders_to_featurise(self.photos, self.features, self.partitions, self._network)
        if not changed:
            report(f"The features are those of the photos of all {len(self.partitions):,} partitions.")
            return None
        listed = [self.photos[folder] for folder in changed]
        return Step(
            "extract_features",
            f"Photos have come, gone or changed, or their features are of another network, in {named(changed)}."
            if self._network
            else f"Photos have come, gone or changed in {named(changed)}.",
            {folder: new_photos(self.photos[folder], self.features.get(folder), self._network) for folder in changed},
            sum(one.length for one in listed) / sum(one.photos for one in listed),
        )

    def _fit(self, report: Report) -> Step | None:
        model = model_store.load(self._store.pca_models) if self.version else None
        decision = refit(model, self.features, self.limits)
        if decision.due:
            return Step("fit_pca", decision.because)
        report(decision.because)
        return None

    def _reduce(self, report: Report) -> Step | None:
        if self.version is None:
            return None
        if self._made_by - {model_store.load(self._store.pca_models).features_model}:
            report(f"Nothing is reduced: there are features of another network than that of PCA model {self.version}.")
            return None
        reduced = table_totals(self._store.reduced_features, self._reduced)
        behind = folders_to_reduce(self.features, reduced, self.version)
        if stale := [folder for folder in self.partitions if folder in behind]:
            because = (
                f"Reduced features do not follow from the features and PCA model {self.version} in {named(stale)}."
            )
            return Step("reduce_folders", because, dict.fromkeys(stale, 0))
        report(f"The reduced features are of PCA model {self.version}.")
        return None
