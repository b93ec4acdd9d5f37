"""Finds what of a store is out of date, without Spark, by the comparisons that the steps make themselves.

A step that is left out because nothing is found here would have changed no row: the listing is compared with raw_images
by path, length, modification time and error, raw_images with mobilenet_features by the same, the network and the limits
of decoding, and the name of the PCA model with that of the model that would be fitted.
"""

from collections.abc import Sequence

from spark_steps.features.comparison import folders_to_compute
from spark_steps.features.names import TF
from spark_steps.features.weights import current_model, has_current_model, replaced_network
from spark_steps.pca import model_store
from spark_steps.pca.model import PcaSettings, settings_for_next
from spark_steps.photos.limits import DecodeLimits
from spark_steps.photos.listing import find_photos, plan_raw_images
from spark_steps.store.staleness import reducible_folders, version_of_fit
from spark_steps.store.store import Store
from spark_steps.tables.footers import folder_totals
from spark_steps.tables.totals import sum_of


def folders_to_featurise(
    store: Store,
    images: str,
    folders: Sequence[str],
    weights: str | None,
    limits: DecodeLimits,
    scaling: str = TF,
) -> list[str]:
    """Returns the folders in which a run would change a row of raw_images or mobilenet_features, in the given order.

    Args:
        store: The store.
        images: The images root, a normalised location.
        folders: Folders with photos, relative to the root.
        weights: The weights that are asked for; None for those of the store's network.
        limits: What workers may read and decode.
        scaling: The scaling of pixels that is asked for with the weights.
    """
    cache = store.mobilenet_models
    if not has_current_model(cache) or (weights is not None and replaced_network(weights, cache, scaling)):
        return list(folders)
    listed = find_photos(images, folders, limits.fetch.max_bytes).rows
    changed = plan_raw_images(store.raw_images, listed).folders
    same = [folder for folder in folders if folder not in changed]
    network = current_model(cache).fingerprint
    raw, features = store.raw_images, store.mobilenet_features
    behind = changed.union(folders_to_compute(raw, features, same, network, limits.max_pixels))
    return [folder for folder in folders if folder in behind]


def pca_is_outdated(store: Store, asked: PcaSettings | None) -> bool:
    """Returns whether a fit would make another PCA model than the store's current one.

    Args:
        store: The store; it has a network.
        asked: How many components are asked for; None for as many as before.
    """
    # A model that is lost or damaged is made again.
    if (model := model_store.load_if_sound(store.pca_models)) is None:
        return True
    wanted, _ = settings_for_next(asked, model.asked)
    network = current_model(store.mobilenet_models).fingerprint
    features = sum_of(folder_totals(store.mobilenet_features).values())
    return features.made_by != {network} or model.version != version_of_fit(features, network, wanted)


def folders_to_reduce(store: Store) -> list[str]:
    """Returns the folders whose reduced features do not follow from the current PCA model, sorted."""
    return reducible_folders(store, store.existing_pca_model())
