"""The network, and the features that it computes for each photo."""

import time

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import Field

from fruits_assets.assets.common import GROUP, StepLauncher, folder_table, folders_of
from fruits_assets.assets.io_managers import TableUpdate, planned_before
from fruits_assets.assets.metadata import rounded
from fruits_assets.aws.residency import check_residency
from fruits_assets.instance.failures import reports_failures
from fruits_assets.money.costs import CostModel, entries
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import finished
from spark_steps.features.mobilenet import FeatureUpdate, plan_features
from spark_steps.features.weights import MobileNetModel, model_for_next
from spark_steps.photos.decoding import PREPROCESSING
from spark_steps.photos.tombstones import read_tombstones
from spark_steps.store.store import Store
from spark_steps.tables.folder_table import FolderTable
from spark_steps.tables.schemas import FEATURES_SCHEMA


class WeightsConfig(dg.Config):
    """The weights of the network, and how it wants pixels."""

    weights: str | None = Field(
        None,
        description="imagenet, a path of an .h5, .keras, .tflite or .onnx file, or random:<seed>; left out: "
        "FRUITS_WEIGHTS, else the network that the store has, imagenet in a new one.",
    )
    scaling: str | None = Field(
        None,
        description="How the network of a weights file wants pixels: tf (-1 to 1), unit (0 to 1), raw (0 to 255) or "
        "torch (by ImageNet's mean and standard deviation); left out: FRUITS_SCALING, else tf.",
    )


class FeaturesConfig(dg.Config):
    """Which photos are run through the network."""

    full_refresh: bool = Field(False, description="Run every photo through the network again, new or not.")


@dg.asset(io_manager_key="mobilenet_models", kinds={"tensorflow"}, code_version=PREPROCESSING, **GROUP)
@reports_failures
def mobilenet_model(
    context: dg.AssetExecutionContext,
    config: WeightsConfig,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[Store],
    costs: dg.ResourceParam[CostModel],
) -> MobileNetModel:
    """The network, read once and converted to what is broadcast to the workers: by default MobileNetV2, 9 MB."""
    started, source = time.perf_counter(), config.weights or settings.weights
    check_residency(settings, locations=[source or "", store.root])
    model = model_for_next(source, store.mobilenet_models, config.scaling or settings.scaling)
    context.add_output_metadata(rounded(entries(costs.of_seconds(time.perf_counter() - started))))
    # The fingerprint as data version: features stay in sync when the same network is materialized again.
    context.set_data_version(context.asset_key, dg.DataVersion(model.fingerprint))
    return model


@dg.asset(code_version=PREPROCESSING, **folder_table("mobilenet_features", FEATURES_SCHEMA))
@reports_failures
def mobilenet_features(
    context: dg.AssetExecutionContext,
    config: FeaturesConfig,
    raw_images: FolderTable,
    mobilenet_model: MobileNetModel,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[Store],
    pyspark: LazyPySparkResource,
    pyspark_step_launcher: StepLauncher,
) -> TableUpdate:
    """The features of each photo, or the reason why it has none; only new and changed photos are run."""
    started, erased = time.perf_counter(), finished(store)
    folders = folders_of(context)

    def plan() -> FeatureUpdate:
        return plan_features(
            pyspark.spark_session,
            raw_images,
            store.mobilenet_features,
            folders,
            mobilenet_model,
            settings.decode_limits,
            settings.images,
            full_refresh=config.full_refresh,
            erased=read_tombstones(store.tombstones),
        )

    update = plan()
    computed = {folder: work.computed for folder, work in update.work.items()}
    notes = {folder: {"photos_kept": work.kept} for folder, work in update.work.items()}
    return TableUpdate(
        folders,
        planned_before(update.change, lambda: plan().change),
        started,
        erased,
        computed=computed,
        notes=notes,
        done=lambda: update.done.value,
    )
