"""The jobs: the whole pipeline, its three stages, the audit, synchronisation of the partitions, and erasure."""

from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import Field

from fruits_assets.assets import (
    audit_report,
    mobilenet_features,
    mobilenet_model,
    pca_model,
    photo_audit,
    photo_splits,
    raw_images,
    reduced_features,
    store_report,
)
from fruits_assets.assets.mobilenet import FeaturesConfig, WeightsConfig
from fruits_assets.assets.pca import PcaConfig
from fruits_assets.aws.residency import check_residency
from fruits_assets.instance.failures import reports_failures
from fruits_assets.instance.partitions import SYNC_JOB, WHOLE_PIPELINE_JOB, synchronise
from fruits_assets.instance.tags import PIPELINE_TAG
from fruits_assets.jobs.erasure_service import ErasureRequest, erase
from fruits_assets.jobs.look import forget
from fruits_assets.jobs.pipeline import Runs, run_pipeline
from fruits_assets.settings import Settings
from spark_steps.erasure.plan import Plan
from spark_steps.photos.listing import list_image_folders
from spark_steps.store.store import Store

# A tag by which the UI can filter runs.
STAGE_TAG = "fruits/stage"

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
    selection=dg.AssetSelection.assets(reduced_features, store_report),
    description="Project the features of the chosen folders on the current PCA model, and tell what the store holds.",
)

audit_photos = dg.define_asset_job(
    "audit_photos",
    tags={STAGE_TAG: "audit"},
    selection=dg.AssetSelection.assets(photo_splits, photo_audit, audit_report),
    description="Group near-duplicates, split all photos without leakage, and look for wrong labels and poor photos.",
)


@dg.op(required_resource_keys={"settings", "store"})
@reports_failures
def compare_folders_with_partitions(context: dg.OpExecutionContext) -> None:
    """Registers new folders as partitions, and drops folders that no longer exist, with their rows in the tables."""
    settings: Settings = context.resources.settings
    store: Store = context.resources.store
    check_residency(settings)
    found = list_image_folders(settings.images)
    forget(context.instance)
    changes = synchronise(context.instance, store, settings.images, found)
    context.add_output_metadata(
        {"added": changes.add, "dropped": changes.drop, "refused": changes.refused, "kept": changes.kept}
        | {"passed_over": found.passed_over.endings}
        | ({"moved": changes.moved} if changes.moved else {})
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
    """Compares folders and partitions once."""
    compare_folders_with_partitions()


class PipelineConfig(WeightsConfig, FeaturesConfig, PcaConfig):
    """Which folders are featurised, and how."""

    folders: list[str] = Field(["*"], description="Shell patterns of the folders to featurise, such as Apple*.")


@dg.op(required_resource_keys={"settings", "definitions_for"})
@reports_failures
def run_all_stages(context: dg.OpExecutionContext, config: PipelineConfig) -> None:
    """Does what ``fruits run`` does; the stages are runs of their own jobs."""
    settings: Settings = context.resources.settings
    given = config.model_dump(include={"weights", "scaling", "components", "variance"}, exclude_none=True)
    runs = Runs(tags={PIPELINE_TAG: context.run_id}, full_refresh=config.full_refresh)
    run_pipeline(
        settings.with_given(**given),
        context.instance,
        context.resources.definitions_for,
        config.folders,
        context.log.info,
        runs,
    )


@dg.job(
    name=WHOLE_PIPELINE_JOB,
    description="Register the folders, featurise those that match, fit one PCA to all folders, and project all: three "
    "runs, one after the other.",
    tags={STAGE_TAG: "all"},
)
def whole_pipeline() -> None:
    """Runs all stages once.

    It is not a job of assets: Dagster would split folders that are not contiguous into a run each, and each of those
    runs would fit a PCA.
    """
    run_all_stages()


class EraseConfig(dg.Config):
    """Which photos to erase; none, to finish an erasure that was interrupted."""

    image_ids: list[str] = Field([], description="Photos by the sha256 of their bytes.")
    paths: list[str] = Field([], description="Photos by their files, as the tables name them.")
    from_file: str | None = Field(
        None,
        description="A file, here or in S3, with an image id or a path on each line: then no record names a photo.",
    )
    older_than_days: int | None = Field(None, ge=1, description="Photos that were not changed for so many days.")


@dg.op(required_resource_keys={"settings", "store"})
@reports_failures
def erase_what_is_named(context: dg.OpExecutionContext, config: EraseConfig) -> None:
    """Erases the photos, and records the number of photos, files and rows, but no name of a photo."""
    wanted = ErasureRequest(config.image_ids, config.paths, config.from_file, config.older_than_days)
    plans: list[Plan] = []

    def agreed(plan: Plan) -> bool:
        plans.append(plan)
        return True

    erase(context.resources.settings, context.instance, wanted, agreed, context.log.info, own_run=context.run_id)
    (plan,) = plans
    context.add_output_metadata(
        {
            "photos": len(plan.image_ids),
            "files": len(plan.files),
            "absent_or_erased_before": len(plan.absent) + len(plan.erased_before),
            **{f"rows_of_{name}": found.rows for name, found in plan.rows.items()},
            "pca_models_that_saw_a_photo": [asdict(model) for model in plan.models],
        }
    )


@dg.job(
    name="erase_photos",
    description="Erase photos for good, with all that was derived from them: docs/privacy.md.",
    tags={STAGE_TAG: "erasure"},
)
def erase_photos() -> None:
    """Erases photos once."""
    erase_what_is_named()


ALL_JOBS: list[Any] = [
    whole_pipeline,
    extract_features,
    fit_pca,
    reduce_folders,
    audit_photos,
    sync_image_folders,
    erase_photos,
]
