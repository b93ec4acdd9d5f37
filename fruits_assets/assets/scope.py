"""The scope of a check: the folders of its run or the whole store, with a phrase that names it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.instance.tags import tagged_folders
from spark_steps.tables.folder_table import FolderTable

# Up to so many folders a check opens the files of the whole store: in S3 about 3 requests a file, 16 files at a time.
WHOLE_STORE_FOLDERS = 1000


@dataclass(frozen=True)
class Scope:
    """The folders that a check reads.

    Attributes:
        folders: Names of the folders.
        where: The folders as a phrase: "in all 25 folders of the store".
    """

    folders: list[str]
    where: str

    def describe(self, sentence: str) -> str:
        """Returns a sentence with the phrase for the folders before it."""
        return f"{self.where[0].upper()}{self.where[1:]}: {sentence}"


def scope(of_run: Collection[str] | None, of_store: Collection[str], whole_up_to: int = 0) -> Scope:
    """Returns the scope of a check.

    Args:
        of_run: The folders of a run, None where it is for all folders.
        of_store: The folders of the store.
        whole_up_to: Number of folders up to which the whole store is checked.
    """
    everything = sorted({*of_store, *(of_run or ())})
    if of_run is None or len(everything) <= whole_up_to or set(of_run) >= set(of_store):
        return Scope(everything, f"in all {len(everything):,} folders of the store")
    chosen = sorted(of_run)
    named = f"folder {chosen[0]!r}" if len(chosen) == 1 else f"the {len(chosen):,} folders"
    return Scope(chosen, f"in {named} of this run, not in all {len(everything):,} of the store")


def scope_of(context: dg.AssetCheckExecutionContext, table: FolderTable, whole_up_to: int = 0) -> Scope:
    """Returns the scope of a check from the tags of its run and the folders of a table.

    Args:
        context: Context of the check.
        table: The table from which the checked table is computed: its folders are the folders of the store, so a folder
            that the checked table lacks completely is still checked.
        whole_up_to: Number of folders up to which the whole store is checked.
    """
    partitions = context.instance.get_dynamic_partitions(IMAGE_FOLDERS)
    return scope(folders_of_run(context.run.tags, partitions), table.folders(), whole_up_to)


def folders_of_run(tags: Mapping[str, str], partitions: Sequence[str]) -> list[str] | None:
    """Returns the folders of a run; None where its tags name none, or an end of their range was dropped since.

    Args:
        tags: Tags of the run.
        partitions: All partitions, in the order of their registration.
    """
    if listed := tagged_folders(tags):
        return listed
    if key := tags.get(PARTITION_NAME_TAG):
        return [key]
    first, last = tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first in partitions and last in partitions:
        return list(partitions[partitions.index(first) : partitions.index(last) + 1])
    return None
