"""Runs and backfills of a Dagster instance that may need what steps run on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from fruits_assets.instance.internals import NOT_FINISHED_STATUSES, BulkActionsFilter, BulkActionStatus
from fruits_assets.instance.partitions import WHOLE_PIPELINE_JOB
from fruits_assets.instance.tags import CREATED_TAG, PLACE_TAG


def runs_of(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Returns a function that tests whether the run of an id belongs to an instance."""
    return lambda run_id: instance.get_run_by_id(run_id) is not None


def others_in_flight(instance: dg.DagsterInstance, longest: timedelta, run_id: str | None = None) -> bool:
    """Returns whether an instance has unfinished backfills, or unfinished runs whose steps may run elsewhere.

    A run of whole_pipeline has no such steps itself; the runs that it starts do.

    Args:
        instance: The Dagster instance.
        longest: A run without an update for longer does not count: its process is gone, which Dagster has not noticed.
        run_id: The id of a run that does not count.
    """
    since = datetime.now(UTC) - longest
    unfinished = instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES), updated_after=since))
    if any(run.run_id != run_id and run.job_name != WHOLE_PIPELINE_JOB for run in unfinished):
        return True
    under_way = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
    return bool(instance.get_backfills(BulkActionsFilter(statuses=under_way), limit=1))


def places_of_runs(instance: dg.DagsterInstance, longest: timedelta) -> tuple[set[str], set[str]]:
    """Returns where the steps of an instance's runs were sent to, and what was created for them, by their tags.

    Args:
        instance: The Dagster instance.
        longest: How long that can be there; older runs do not count.
    """
    runs = instance.get_runs(dg.RunsFilter(updated_after=datetime.now(UTC) - longest))
    used = {run.tags[PLACE_TAG] for run in runs if PLACE_TAG in run.tags}
    return used, {name for run in runs for name in run.tags.get(CREATED_TAG, "").split()}
