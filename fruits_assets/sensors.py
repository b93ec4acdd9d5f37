"""Sensors, shipped stopped: automation starts when somebody starts it."""

import dagster as dg
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from fruits_assets.jobs import sync_image_folders
from fruits_assets.partitions import IMAGE_FOLDERS, folder_changes
from fruits_assets.residency import check_residency
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from spark_steps.images import list_image_folders
from spark_steps.store import Store


@dg.sensor(
    job=sync_image_folders,
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Asks for sync_image_folders when folders have appeared or gone.",
)
def image_folders_sensor(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], store: dg.ResourceParam[Store]
) -> dg.RunRequest | dg.SkipReason:
    """Compares the folders with the partitions; a listing that fails changes nothing."""
    try:
        check_residency(settings)
        found = list_image_folders(settings.images)
        store.check_images(settings.images)
    except FruitsError as error:
        return dg.SkipReason(str(error))
    registered = context.instance.get_dynamic_partitions(IMAGE_FOLDERS)
    changes = folder_changes(found.photos, registered)
    if not found.photos:
        return dg.SkipReason(f"There is no photo below {settings.images}; nothing is added or dropped.")
    if not changes.add and not changes.drop:
        return dg.SkipReason(f"The {len(registered):,} partitions are those of the folders.")
    # Not a run key: a folder that comes, goes and comes again is the same change twice.
    under_way = dg.RunsFilter(job_name=sync_image_folders.name, statuses=IN_PROGRESS_RUN_STATUSES)
    if context.instance.get_runs(under_way, limit=1):
        return dg.SkipReason("A run of sync_image_folders is under way.")
    return dg.RunRequest()
