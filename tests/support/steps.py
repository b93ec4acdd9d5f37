"""The steps of the platform by themselves, without Dagster."""

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from spark_steps.features.mobilenet import FeatureUpdate, plan_features
from spark_steps.features.names import TF
from spark_steps.features.weights import MobileNetModel, load_model, make_current
from spark_steps.pca.model import PcaSettings, fit
from spark_steps.pca.model_store import save
from spark_steps.pca.reduce import plan_reduced
from spark_steps.photos.limits import DecodeLimits
from spark_steps.photos.listing import find_photos, list_image_folders, plan_raw_images
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import TableChange

LIMITS = DecodeLimits()


def write_raw_images(store: Store, images: Path | str, folders: Sequence[str] | None = None) -> TableChange:
    """Lists the photos of some folders, or of all, and makes their rows those of raw_images."""
    store.claim_images(str(images))
    names = list(list_image_folders(str(images)).photos) if folders is None else list(folders)
    found = find_photos(str(images), names, LIMITS.fetch.max_bytes)
    change = plan_raw_images(store.raw_images, found.rows)
    store.raw_images.write(change)
    return change


def write_features(
    spark: SparkSession,
    store: Store,
    images: Path | str,
    network: MobileNetModel,
    folders: Sequence[str] | None = None,
    *,
    limits: DecodeLimits = LIMITS,
    full_refresh: bool = False,
) -> FeatureUpdate:
    """Makes the features of some folders, or of all, of raw_images."""
    names = store.raw_images.folders() if folders is None else list(folders)
    raw, features = store.raw_images, store.mobilenet_features
    update = plan_features(spark, raw, features, names, network, limits, str(images), full_refresh=full_refresh)
    features.write(update.change)
    return update


def write_store(
    spark: SparkSession,
    store: Store,
    images: Path | str,
    weights: Path | str,
    asked: PcaSettings | None = None,
    limits: DecodeLimits = LIMITS,
    scaling: str = TF,
) -> None:
    """Makes all tables of a store, and its PCA model, as a run does."""
    network = load_model(str(weights), store.mobilenet_models, scaling)
    make_current(network, store.mobilenet_models)
    write_raw_images(store, images)
    write_features(spark, store, images, network, limits=limits)
    features, reduced = store.mobilenet_features, store.reduced_features
    model = fit(spark, features, network, asked or PcaSettings())
    save(model, store.pca_models)
    reduced.write(plan_reduced(spark, features, reduced, features.folders(), model))
