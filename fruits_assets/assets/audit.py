"""The audit: groups of near-duplicates with a split that keeps them together, and findings about photos and labels."""

import time

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pydantic import Field

from fruits_assets.assets.common import StepLauncher, folder_table, folders_of
from fruits_assets.assets.io_managers import TableUpdate, planned_before
from fruits_assets.instance.failures import reports_failures
from fruits_assets.settings import Settings
from spark_steps.audit.plan import SplitUpdate, plan_findings, plan_splits
from spark_steps.audit.version import record_audit
from spark_steps.erasure.carry_out import finished
from spark_steps.store.staleness import named
from spark_steps.store.store import Store
from spark_steps.store.summaries import summarise
from spark_steps.tables.folder_table import FolderTable, TableChange
from spark_steps.tables.schemas import AUDIT_SCHEMA, SPLITS_SCHEMA


class SplitsConfig(dg.Config):
    """Which photos are assigned to a split."""

    full_refresh: bool = Field(
        False, description="Compare all photos again, and assign every group anew, also those that have a split."
    )


@dg.asset(**folder_table("photo_splits", SPLITS_SCHEMA))
@reports_failures
def photo_splits(
    context: dg.AssetExecutionContext,
    config: SplitsConfig,
    mobilenet_features: FolderTable,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[Store],
    pyspark: LazyPySparkResource,
    pyspark_step_launcher: StepLauncher,
) -> TableUpdate:
    """The group of near-duplicates of each photo, its split, and how its neighbours are labelled.

    Groups are of the whole store, so all folders are written, also if the run is for some of them.
    """
    started, erased = time.perf_counter(), finished(store)

    def plan() -> SplitUpdate:
        return plan_splits(
            pyspark.spark_session,
            mobilenet_features,
            store.photo_splits,
            settings.audit,
            full_refresh=config.full_refresh,
        )

    update = plan()
    if update.moved:
        context.log.warning(
            f"{sum(update.moved.values()):,} photos have changed their split, because photos that were added link "
            f"their groups, in {named(sorted(update.moved))}."
        )
    if update.without_test:
        context.log.warning(
            f"{len(update.without_test):,} labels have too few groups of photos for a photo in test, such as "
            f"{update.without_test[0]!r}."
        )
    chosen = folders_of(context)
    folders = [*chosen, *sorted(update.change.folders.difference(chosen))]
    photo_bytes = {folder: one.photo_bytes for folder, one in summarise(mobilenet_features, folders).items()}
    notes = {folder: {"photos_moved": update.moved.get(folder, 0)} for folder in folders}
    plans = planned_before(update.change, lambda: plan().change)
    return TableUpdate(folders, plans, started, erased, photo_bytes=photo_bytes, notes=notes)


@dg.asset(**folder_table("photo_audit", AUDIT_SCHEMA))
@reports_failures
def photo_audit(
    context: dg.AssetExecutionContext,
    mobilenet_features: FolderTable,
    photo_splits: FolderTable,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[Store],
    pyspark_step_launcher: StepLauncher,
) -> TableUpdate:
    """Findings: copies and near-duplicates, labels that are probably wrong, outliers, photos of poor quality.

    All folders whose findings have changed are written, also if the run is for some of them.
    """
    started, erased = time.perf_counter(), finished(store)
    table = store.photo_audit
    # A store without a finding has an empty table, which keeps the version of the audit.
    table.log.create()

    def plan() -> TableChange:
        return plan_findings(mobilenet_features, photo_splits, table, settings.audit)

    change = plan()
    chosen = folders_of(context)
    folders = [*chosen, *sorted(change.folders.difference(chosen))]
    photos = summarise(photo_splits, folders)
    return TableUpdate(
        folders,
        planned_before(change, plan),
        started,
        erased,
        notes={folder: {"photos": one.rows} for folder, one in photos.items()},
        rows="findings",
        record=lambda: record_audit(table, mobilenet_features, photo_splits, settings.audit),
    )
