"""Finds stale parts of a store: those that do not follow from the rest. Reads footers only, no rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from spark_steps.pca.model import PcaModel, PcaSettings
from spark_steps.pca.moments import version_of
from spark_steps.store.store import Store
from spark_steps.tables.footers import folder_totals
from spark_steps.tables.totals import Totals, TotalsByFolder, folders_to_reduce, not_reduced, of_others, sum_of

_NAMED = 3


@dataclass(frozen=True)
class Staleness:
    """The stale parts of a store; each list of folders is sorted.

    Attributes:
        pca_model: Version of the current PCA model, None before there is one.
        photos_with_features: Number of photos that have features.
        pca_photos: Number of photos that the PCA model was fitted on, None before there is one.
        pca_is_of_other_photos: Whether the PCA model was fitted on other photos than those that have features.
        not_featurised: Folders whose features are of other photos than those listed.
        of_another_network: Folders with features of another network than the PCA model's. Before there is a model,
            those of another network than most folders.
        of_another_pca_model: Folders with photos reduced by another PCA model than the current one.
        not_reduced: Other folders whose reduced features are of other photos than those that have features.
    """

    pca_model: str | None = None
    photos_with_features: int = 0
    pca_photos: int | None = None
    pca_is_of_other_photos: bool = False
    not_featurised: list[str] = field(default_factory=list)
    of_another_network: list[str] = field(default_factory=list)
    of_another_pca_model: list[str] = field(default_factory=list)
    not_reduced: list[str] = field(default_factory=list)

    @property
    def folders(self) -> list[str]:
        """The folders of all kinds, sorted."""
        kinds = (self.not_featurised, self.of_another_network, self.of_another_pca_model, self.not_reduced)
        return sorted({folder for kind in kinds for folder in kind})

    @property
    def sentences(self) -> list[str]:
        """One message for each stale part; empty if nothing is stale."""
        messages = []
        if self.not_featurised:
            messages.append(f"The features in {named(self.not_featurised)} are not those of the photos listed.")
        if self.pca_is_of_other_photos:
            now = f"{self.photos_with_features:,}"
            messages.append(
                f"The PCA model was fitted on {self.pca_photos:,} photos, and {now} have features."
                if self.pca_photos != self.photos_with_features
                else f"The PCA model was fitted on other photos than the {now} that have features."
            )
        return messages + self.incomparable

    @property
    def incomparable(self) -> list[str]:
        """One message for each part of the reduced features that is missing or not comparable with the rest."""
        messages = []
        if self.of_another_network:
            others = f"PCA model {self.pca_model}" if self.pca_model else "the others"
            messages.append(f"The features in {named(self.of_another_network)} are of another network than {others}.")
        if self.of_another_pca_model:
            messages.append(
                f"The photos in {named(self.of_another_pca_model)} are reduced by another PCA model than the current "
                f"{self.pca_model}."
            )
        if self.not_reduced:
            messages.append(f"The reduced features in {named(self.not_reduced)} are missing, or those of other photos.")
        return messages


def named(folders: Sequence[str]) -> str:
    """Returns a phrase for one folder or more: their number and the first few names."""
    if len(folders) == 1:
        return f"folder {folders[0]!r}"
    return f"{len(folders):,} folders such as {', '.join(map(repr, folders[:_NAMED]))}"


def staleness_of(store: Store, *, listed: bool = True) -> Staleness:
    """Finds the stale parts of a store.

    Args:
        store: The store.
        listed: Whether to compare with the photos listed too, which reads the footers of one more table. If not, all
            photos listed are assumed to have features.
    """
    features, reduced = folder_totals(store.mobilenet_features), folder_totals(store.reduced_features)
    raw = folder_totals(store.raw_images) if listed else features
    return staleness(raw, features, reduced, store.pca_model())


def staleness(
    raw: TotalsByFolder, features: TotalsByFolder, reduced: TotalsByFolder, model: PcaModel | None
) -> Staleness:
    """Compares the tables of a store with each other and with its PCA model.

    Args:
        raw: Totals of raw_images.
        features: Totals of mobilenet_features.
        reduced: Totals of reduced_features.
        model: The current PCA model, None before there is one.
    """
    of_all = sum_of(features.values())
    other_model = of_others(reduced, model.version) if model else []
    return Staleness(
        pca_model=model.version if model else None,
        photos_with_features=of_all.vectors,
        pca_photos=model.rows if model else None,
        pca_is_of_other_photos=model is not None and not _is_fitted_on(model, of_all),
        not_featurised=_not_featurised(raw, features),
        of_another_network=of_others(features, model.features_model if model else _commonest_network(features)),
        of_another_pca_model=other_model,
        not_reduced=sorted(not_reduced(features, reduced) - set(other_model)),
    )


def reducible_folders(store: Store, model: PcaModel) -> list[str]:
    """Returns the folders whose reduced features are stale or missing and can be computed by the PCA model, sorted.

    Args:
        store: The store.
        model: The current PCA model. It cannot reduce features of another network than its own.
    """
    features, reduced = folder_totals(store.mobilenet_features), folder_totals(store.reduced_features)
    behind = folders_to_reduce(features, reduced, model.version)
    return sorted(behind - set(of_others(features, model.features_model)))


def _not_featurised(raw: TotalsByFolder, features: TotalsByFolder) -> list[str]:
    def listed(totals: Totals) -> tuple[int, int, int]:
        return totals.rows, totals.length, totals.newest

    none = Totals()
    return sorted(
        folder for folder in {*raw, *features} if listed(raw.get(folder, none)) != listed(features.get(folder, none))
    )


def _commonest_network(features: TotalsByFolder) -> str | None:
    networks = Counter(network for totals in features.values() for network in totals.made_by)
    return networks.most_common(1)[0][0] if networks else None


def _is_fitted_on(model: PcaModel, features: Totals) -> bool:
    return model.version == version_of_fit(features, model.features_model, model.asked)


def version_of_fit(features: Totals, network: str, settings: PcaSettings) -> str:
    """Returns the version that a PCA model has if it is fitted on some features.

    Args:
        features: Totals of mobilenet_features.
        network: Fingerprint of the network that made the features.
        settings: How many components are asked for.
    """
    return version_of(features.vectors, features.photos, network, settings.variance or settings.components)
