"""Unfinished runs and backfills of a Dagster instance: their folders are not dropped, and automation waits for them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from fruits_assets.instance.internals import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    NOT_FINISHED_STATUSES,
    PARTITION_NAME_TAG,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from fruits_assets.instance.tags import tagged_folders

# max_runtime_seconds of dagster.yaml: the process of a run without an update for longer is gone.
_LONGEST_RUN = timedelta(days=1)
_UNFINISHED_BACKFILLS = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Returns the runs that are queued or running, the newest first."""
    since = datetime.now(UTC) - _LONGEST_RUN
    unfinished = dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES), updated_after=since)
    return [record.dagster_run for record in instance.get_run_records(unfinished)]


def unfinished_backfills(instance: dg.DagsterInstance) -> list[PartitionBackfill]:
    """Returns the backfills that still start runs or wait for runs to end."""
    return list(instance.get_backfills(BulkActionsFilter(statuses=_UNFINISHED_BACKFILLS)))


def what_is_under_way(instance: dg.DagsterInstance, without: str | None = None) -> str | None:
    """Returns a sentence that names a run or a backfill that is not finished; None where there is none.

    Args:
        instance: The Dagster instance.
        without: The id of a run that does not count.
    """
    if runs := [run for run in unfinished_runs(instance) if run.run_id != without]:
        return f"Run {runs[0].run_id[:8]} of {runs[0].job_name} is under way; end it in the UI if its process is gone."
    if backfills := unfinished_backfills(instance):
        return f"Backfill {backfills[0].backfill_id} is under way."
    return None


def partitions_in_flight(
    instance: dg.DagsterInstance, partitions: Sequence[str], without: Collection[str] = ()
) -> set[str]:
    """Returns the partitions that an unfinished run or backfill works on.

    Args:
        instance: The Dagster instance.
        partitions: All partitions, in the order of their registration.
        without: Jobs whose runs do not count.
    """
    found: set[str] = set()
    for run in unfinished_runs(instance):
        if run.job_name not in without:
            found |= partitions_of_tags(run.tags, partitions)
    for backfill in unfinished_backfills(instance):
        found |= _partitions_of_backfill(backfill, partitions)
    return found & set(partitions)


def partitions_of_tags(tags: Mapping[str, str], partitions: Sequence[str]) -> set[str]:
    """Returns the partitions that a run's tags name; all where they name none, because a PCA fit reads all folders."""
    if (listed := tagged_folders(tags)) is not None:
        return set(listed)
    if key := tags.get(PARTITION_NAME_TAG):
        return {key}
    ends = [tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)]
    first, last = (partitions.index(end) if end in partitions else None for end in ends)
    if first is None or last is None:
        return set(partitions)
    return set(partitions[first : last + 1])


def _partitions_of_backfill(backfill: PartitionBackfill, partitions: Sequence[str]) -> set[str]:
    if backfill.partition_names is not None:
        return set(backfill.partition_names)
    if (data := backfill.asset_backfill_data) is None:
        return set(partitions)
    subsets = data.target_subset.partitions_subsets_by_asset_key.values()
    return {key for subset in subsets for key in subset.get_partition_keys()}
