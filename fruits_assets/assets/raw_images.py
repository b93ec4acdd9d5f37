"""The photos found by listing, one row each."""

import time

import dagster as dg
from dagster_aws.s3 import S3Resource

from fruits_assets.assets.common import StepLauncher, folder_table, folders_of
from fruits_assets.assets.io_managers import TableUpdate
from fruits_assets.aws.residency import check_residency
from fruits_assets.instance.failures import reports_failures
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import finished, refuse_while_erasing
from spark_steps.photos.listing import find_photos, plan_raw_images
from spark_steps.store.store import Store
from spark_steps.store.summaries import REJECTED_SHOWN
from spark_steps.tables.schemas import RAW_IMAGES_SCHEMA


# Before mobilenet_model: in a new store the weights are converted in the background meanwhile.
@dg.asset(**folder_table("raw_images", RAW_IMAGES_SCHEMA), op_tags={"dagster/priority": "1"})
@reports_failures
def raw_images(
    context: dg.AssetExecutionContext,
    s3: S3Resource,
    settings: dg.ResourceParam[Settings],
    store: dg.ResourceParam[Store],
    pyspark_step_launcher: StepLauncher,
) -> TableUpdate:
    """The photos of each folder: path, size, modification time, and an error where the listing shows them unusable.

    No file is opened or copied. The metadata have the number and the names of files that are not photos.
    """
    started = time.perf_counter()
    if settings.deployment == "local":
        # Local only: before a step on a cluster the launching process makes this check, which the nodes have no right
        # to.
        check_residency(settings, s3.get_client)
    store.claim_images(settings.images)
    erased = finished(store)
    refuse_while_erasing(store)
    folders = folders_of(context)
    limit = settings.decode_limits.fetch.max_bytes
    found = find_photos(settings.images, folders, limit)
    notes = {folder: other_files(found.others.get(folder, [])) for folder in folders}
    return TableUpdate(folders, lambda: plan_raw_images(store.raw_images, found.rows), started, erased, notes=notes)


def other_files(names: list[str]) -> dict[str, object]:
    """Returns the metadata about the files of a folder that are not photos."""
    shown = ", ".join(names[:REJECTED_SHOWN]) + (", ..." if len(names) > REJECTED_SHOWN else "")
    return {"other_files": len(names), **({"other_files_named": shown} if names else {})}
