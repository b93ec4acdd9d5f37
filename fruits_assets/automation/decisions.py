"""Decisions of automation, as pure functions of numbers; they use neither Dagster nor a store."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spark_steps.pca.model import PcaModel
from spark_steps.photos.listing import FolderContents
from spark_steps.tables.totals import Totals, sum_of


@dataclass(frozen=True)
class RefitLimits:
    """Changes from which on a PCA model no longer represents the photos.

    Attributes:
        share: Change of the number of photos, as a share of those that the model was fitted on.
        drift: Drift of the mean, as the function ``drift`` computes it.
    """

    share: float
    drift: float


@dataclass(frozen=True)
class Refit:
    """A decision on whether to fit the PCA again.

    Attributes:
        due: Whether it is to be fitted again.
        because: The reason with its figures, as a sentence.
    """

    due: bool
    because: str


def folders_to_featurise(
    listed: Mapping[str, FolderContents],
    features: Mapping[str, Totals],
    partitions: Sequence[str],
    network: str | None = None,
) -> list[str]:
    """Returns the folders whose photos differ from their rows in mobilenet_features, in the order of the partitions.

    The number of photos, their total bytes and the newest modification time are compared. So a photo that is only
    renamed, or is replaced by an older one of the same length, is not noticed until the folder changes in another way
    or is materialized.

    Args:
        listed: Contents of each folder.
        features: Totals of mobilenet_features, by folder.
        partitions: The folders that are partitions.
        network: The network that all features should have, None where they are all of one network.
    """

    def of_rows(folder: str) -> FolderContents:
        totals = features.get(folder, Totals())
        return FolderContents(totals.rows, totals.length, totals.newest)

    return [
        folder
        for folder in partitions
        if folder in listed and (listed[folder] != of_rows(folder) or is_of_another(features.get(folder), network))
    ]


def is_of_another(totals: Totals | None, network: str | None) -> bool:
    """Returns whether some rows of a folder were computed by another network than ``network``."""
    return network is not None and totals is not None and bool(totals.made_by - {network})


def new_photos(listed: FolderContents, features: Totals | None, network: str | None = None) -> int:
    """Returns about how many photos of a changed folder are to be run through the network, at least one.

    Args:
        listed: Contents of the folder.
        features: Totals of the folder's features, None where it has none.
        network: See ``folders_to_featurise``.
    """
    if features is None or is_of_another(features, network):
        return max(1, listed.photos)
    return max(1, listed.photos - features.rows)


def first_part(folders: Sequence[str], photos: Mapping[str, int], parts: int) -> list[str]:
    """Returns the first folders that together hold at most 1 / ``parts`` of the photos; at least one folder.

    Args:
        folders: All folders, in order.
        photos: Number of photos, by folder.
        parts: Number of parts that the work is to be cut into.
    """
    most = sum(photos[folder] for folder in folders) / parts
    sums = itertools.accumulate(photos[folder] for folder in folders)
    return list(folders[: max(1, sum(total <= most for total in sums))])


def drift(model: PcaModel, features: Totals) -> float:
    """Returns how far the mean of the features has moved since a model was fitted, in standard deviations.

    The root mean square over the features of ``(mean now - mean of the model) / scale of the model``.
    """
    if features.mean is None:
        return 0.0
    return float(np.sqrt(np.mean(((features.mean - model.mean) / model.scale) ** 2)))


def refit(model: PcaModel | None, by_folder: Mapping[str, Totals], limits: RefitLimits) -> Refit:
    """Decides whether the PCA is to be fitted again.

    Args:
        model: The current model, None before there is one.
        by_folder: Totals of mobilenet_features, by folder.
        limits: Changes from which on it is fitted again.
    """
    features = sum_of(by_folder.values())
    if features.vectors < 2:
        return Refit(False, "There are not two usable photos to fit a PCA to.")
    if len(features.made_by) > 1:
        return Refit(False, "No PCA: the features are of two networks. Materialize mobilenet_features for all folders.")
    if model is None:
        return Refit(True, f"There is no PCA model, and {features.vectors:,} usable photos.")
    if features.made_by != {model.features_model}:
        return Refit(True, f"The features are of another network than the PCA model {model.version}.")
    share = abs(features.vectors - model.rows) / model.rows
    moved = drift(model, features)
    figures = (
        f"{features.vectors:,} usable photos, {model.rows:,} when the PCA model was fitted: {share:.1%} of change "
        f"(limit {limits.share:.1%}), and their mean moved by {moved:.3f} standard deviations (limit {limits.drift:g})"
    )
    if not np.isfinite(moved):
        return Refit(False, "Some features are NaN or infinite: see the check features_are_finite_numbers.")
    due = share >= limits.share or moved >= limits.drift
    return Refit(due, f"{figures}: {'it is to be fitted again' if due else 'it stays'}.")
