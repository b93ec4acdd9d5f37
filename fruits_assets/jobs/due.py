"""Which stages of the pipeline are due: those that would change a row, or that this Dagster home has no record of.

A home that was made after the store records what it has not seen: its UI would show nothing of the store otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import CHECK_FAILED_TAG
from fruits_assets.settings import Settings
from spark_steps.store import outdated
from spark_steps.store.store import Store


@dataclass(frozen=True)
class Due:
    """Looks for what is due. Each question is answered from the present state: a stage may make the next one due.

    Attributes:
        settings: The locations of photos and store, the weights and the number of components.
        instance: The Dagster instance that keeps the runs.
        full_refresh: Whether everything is due, also what is up to date.
    """

    settings: Settings
    instance: dg.DagsterInstance
    full_refresh: bool = False

    @property
    def _store(self) -> Store:
        return Store(self.settings.store)

    def to_featurise(self, wanted: Sequence[str]) -> list[str]:
        """Returns those of the folders whose photos, features or records are out of date, in the given order."""
        if self.full_refresh or not self._has_record("mobilenet_model") or self._is_unfinished("extract_features"):
            return list(wanted)
        settings = self.settings
        limits, scaling = settings.decode_limits, settings.scaling
        due = {
            *outdated.folders_to_featurise(self._store, settings.images, wanted, settings.weights, limits, scaling),
            *self._without_record(wanted, "raw_images", "mobilenet_features"),
        }
        return [folder for folder in wanted if folder in due]

    def pca(self) -> bool:
        """Returns whether the PCA is to be fitted."""
        if self.full_refresh or not self._has_record("pca_model") or self._is_unfinished("fit_pca"):
            return True
        return outdated.pca_is_outdated(self._store, self.settings.pca)

    def to_reduce(self) -> list[str]:
        """Returns the folders whose reduced features or records are out of date, in a stable order.

        They are of the whole store: features reduced by different PCA models cannot be compared.
        """
        # A folder that cannot be listed may be in the store, and no partition of this home.
        partitions = set(self.instance.get_dynamic_partitions(IMAGE_FOLDERS))
        folders = [folder for folder in self._store.mobilenet_features.folders() if folder in partitions]
        if self.full_refresh or self._is_unfinished("reduce_folders"):
            return folders
        due = {*outdated.folders_to_reduce(self._store), *self._without_record(folders, "reduced_features")}
        return [folder for folder in folders if folder in due]

    def _is_unfinished(self, job: str) -> bool:
        """Returns whether the last run of a job was interrupted, or failed, itself or in a check.

        Such a run may have changed rows of which nothing is recorded or checked.
        """
        last = self.instance.get_runs(dg.RunsFilter(job_name=job), limit=1)
        return any(run.status != dg.DagsterRunStatus.SUCCESS or CHECK_FAILED_TAG in run.tags for run in last)

    def _has_record(self, asset: str) -> bool:
        return self.instance.get_latest_materialization_event(dg.AssetKey(asset)) is not None

    def _without_record(self, folders: Sequence[str], *assets: str) -> set[str]:
        missing: set[str] = set()
        for asset in assets:
            missing |= set(folders) - self.instance.get_materialized_partitions(dg.AssetKey(asset))
        return missing
