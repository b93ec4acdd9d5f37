"""Image folders as partitions: which to add, which to drop, and the tags of a run that works on some of them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from fruits_assets.instance.in_flight import partitions_in_flight
from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    INVALID_PARTITION_SUBSTRINGS,
)
from fruits_assets.instance.liveness import end_runs_of_killed_processes
from fruits_assets.instance.tags import folders_tag
from spark_steps.erasure.carry_out import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.photos.listing import ImageFolders
from spark_steps.store.store import Store

IMAGE_FOLDERS = "image_folders"
SYNC_JOB = "sync_image_folders"
WHOLE_PIPELINE_JOB = "whole_pipeline"
# Jobs that change no folder's rows themselves. The runs that whole_pipeline starts have tags with their own folders.
JOBS_WITHOUT_FOLDERS = (SYNC_JOB, WHOLE_PIPELINE_JOB)
image_folders = dg.DynamicPartitionsDefinition(name=IMAGE_FOLDERS)


@dataclass(frozen=True)
class FolderChanges:
    """The changes after which the partitions are the folders that were found.

    Attributes:
        add: Folders that are new, sorted.
        drop: Partitions whose folder no longer exists, sorted.
        refused: Folders whose name cannot be a partition key, sorted.
        kept: Partitions whose folder no longer exists, but on which a run or a backfill still works, sorted.
        moved: A sentence about a move of all photos to a new location, None where there was none.
    """

    add: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    moved: str | None = None


def is_partition_key(folder: str) -> bool:
    """Returns whether Dagster accepts a folder's name as a partition key.

    The rule is Dagster's rule for static partitions. It accepts any name for a dynamic partition, and fails later where
    the name is used: ``...`` separates the ends of a range, and a line break separates the items of a list.
    """
    return not any(forbidden in folder for forbidden in INVALID_PARTITION_SUBSTRINGS)


def folder_changes(
    found: Iterable[str], registered: Iterable[str], in_flight: Collection[str] = frozenset()
) -> FolderChanges:
    """Compares the folders found with the registered partitions.

    Args:
        found: Folders that hold photos.
        registered: The partition keys so far.
        in_flight: Partitions on which a run or a backfill works; they are not dropped now.
    """
    usable = {folder for folder in found if is_partition_key(folder)}
    gone = set(registered) - usable
    return FolderChanges(
        add=sorted(usable - set(registered)),
        drop=sorted(gone - set(in_flight)),
        refused=sorted(set(found) - usable),
        kept=sorted(gone & set(in_flight)),
    )


def contiguous_ranges(wanted: Collection[str], registered: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the wanted partitions as contiguous ranges, (first, last), in the order of registration."""
    ranges: list[tuple[str, str]] = []
    previous_wanted = False
    for key in registered:
        if key in wanted:
            ranges = [*ranges[:-1], (ranges[-1][0], key)] if previous_wanted else [*ranges, (key, key)]
        previous_wanted = key in wanted
    return ranges


def partition_tags(folders: Collection[str], registered: Sequence[str]) -> dict[str, str]:
    """Returns the tags of one run that works on the given partitions only.

    Dagster's own tags can name one contiguous range. Its materializations are recorded as a batch, those of the other
    folders one by one; so the tags name the longest range.

    Args:
        folders: The partitions, one at least.
        registered: All partitions, in the order of their registration.
    """
    wanted, position = set(folders), {folder: number for number, folder in enumerate(registered)}
    ranges = contiguous_ranges(wanted, registered)
    first, last = max(ranges, key=lambda ends: position[ends[1]] - position[ends[0]])
    tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
    return tags if len(ranges) == 1 else tags | folders_tag([folder for folder in registered if folder in wanted])


def refuse_to_empty(found: ImageFolders, registered: Sequence[str], images: str) -> None:
    """Raises a FruitsError where no photo is found although partitions are registered.

    An images root without photos is more often a disk that is not mounted than a deletion of all photos.
    """
    if not found.photos and registered:
        raise FruitsError(
            f"There is no photo below {images}, and {len(registered)} folders are registered. Nothing is dropped: "
            "check that the folder is the right one and its disk is there."
        )


def synchronise(instance: dg.DagsterInstance, store: Store, images: str, found: ImageFolders) -> FolderChanges:
    """Registers new folders as partitions, and drops partitions without a folder, with their rows in every table.

    A partition on which a run or a backfill still works is kept until the next synchronisation.

    Args:
        instance: The Dagster instance.
        store: The store.
        images: The images root.
        found: The folders below the images root.

    Raises:
        FruitsError: No photo is found although folders are registered, or the store holds other photos, or photos
            are being erased.
    """
    end_runs_of_killed_processes(instance)
    registered = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    refuse_to_empty(found, registered, images)
    refuse_while_erasing(store)
    moved = store.use_images(images)
    in_flight = partitions_in_flight(instance, registered, without=JOBS_WITHOUT_FOLDERS)
    changes = folder_changes({*found.photos, *found.unseen(registered)}, registered, in_flight)
    # Folders of the store that are not partitions of this Dagster instance were registered with another one.
    stored = store.raw_images.folders()
    elsewhere = set(stored) - set(registered) - set(found.photos) - found.unseen(stored)
    gone = sorted({*changes.drop, *elsewhere})
    for table in store.tables.values():
        table.drop(gone)
    store.keep_passed_over(found.passed_over)
    if changes.add:
        instance.add_dynamic_partitions(IMAGE_FOLDERS, changes.add)
    for folder in changes.drop:
        instance.delete_dynamic_partition(IMAGE_FOLDERS, folder)
    return replace(changes, moved=moved)
