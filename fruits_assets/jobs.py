"""The jobs: the whole graph, its three stages, and the upkeep of the partitions."""

from typing import Any

import dagster as dg

from fruits_assets.assets import mobilenet_features, mobilenet_model, pca_model, raw_images, reduced_features
from fruits_assets.partitions import SYNC_JOB, synchronise
from fruits_assets.residency import check_residency
from fruits_assets.settings import Settings
from spark_steps.images import list_image_folders
from spark_steps.store import Store

# To filter the runs by in the UI.
STAGE_TAG = "fruits/stage"

whole_pipeline = dg.define_asset_job(
    "whole_pipeline",
    tags={STAGE_TAG: "all"},
    selection=dg.AssetSelection.all(),
    description="Photos of the chosen folders to reduced features, with a PCA of all folders.",
)
extract_features = dg.define_asset_job(
    "extract_features",
    tags={STAGE_TAG: "features"},
    selection=dg.AssetSelection.assets(raw_images, mobilenet_model, mobilenet_features),
    description="Find the photos of the chosen folders and run the new ones through the network.",
)
fit_pca = dg.define_asset_job(
    "fit_pca",
    tags={STAGE_TAG: "pca"},
    selection=dg.AssetSelection.assets(pca_model),
    description="Fit the PCA to the features of all folders.",
)
reduce_folders = dg.define_asset_job(
    "reduce_folders",
    tags={STAGE_TAG: "reduction"},
    selection=dg.AssetSelection.assets(reduced_features),
    description="Project the features of the chosen folders on the current PCA model.",
)


@dg.op(required_resource_keys={"settings", "store"})
def compare_folders_with_partitions(context: dg.OpExecutionContext) -> None:
    """Registers folders that are new; drops those that are gone, tables included."""
    settings: Settings = context.resources.settings
    store: Store = context.resources.store
    check_residency(settings)
    changes = synchronise(context.instance, store, settings.images, list_image_folders(settings.images))
    context.add_output_metadata(
        {"added": changes.add, "dropped": changes.drop, "refused": changes.refused, "kept": changes.kept}
    )
    context.log.info(
        f"{len(changes.add)} folders added, {len(changes.drop)} dropped"
        + (f", {len(changes.kept)} kept, because a run works on them: {changes.kept}" if changes.kept else "")
        + (f", {len(changes.refused)} with names Dagster refuses: {changes.refused}" if changes.refused else "")
    )


@dg.job(
    name=SYNC_JOB,
    description="Make the partitions those of the folders that hold photos.",
    tags={STAGE_TAG: "folders"},
)
def sync_image_folders() -> None:
    """Compares once."""
    compare_folders_with_partitions()


ALL_JOBS: list[Any] = [whole_pipeline, extract_features, fit_pca, reduce_folders, sync_image_folders]
