"""The audit as a run of the job ``audit_photos``, for the command ``fruits audit``."""

from collections.abc import Callable

import dagster as dg

from fruits_assets.engines.guards import kept_between_runs
from fruits_assets.instance.failures import reason
from fruits_assets.instance.liveness import end_runs_of_killed_processes, tagged_as_alive
from fruits_assets.instance.partitions import IMAGE_FOLDERS, is_partition_key, partition_tags
from fruits_assets.instance.runs import run_in_process
from fruits_assets.instance.tags import locations
from fruits_assets.jobs.pipeline import AT_A_TERMINAL
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store

AUDIT_JOB = "audit_photos"


def run_audit(
    settings: Settings,
    instance: dg.DagsterInstance,
    definitions: dg.Definitions,
    report: Callable[[str], None] = print,
) -> None:
    """Audits all photos of a store that have features.

    A check that fails does not fail the audit: what it is about is among the findings.

    Args:
        settings: The locations of photos and store, and how photos are audited.
        instance: The Dagster instance that keeps the run.
        definitions: The code location for the settings.
        report: Takes progress messages, a line at a time.

    Raises:
        FruitsError: Photos are being erased; or the run has failed, and the message has the reason.
    """
    report("features to an audit")
    store = Store(settings.store)
    end_runs_of_killed_processes(instance)
    refuse_while_erasing(store)
    folders = _register(instance, store)
    job = definitions.resolve_job_def(AUDIT_JOB)
    with tagged_as_alive(instance) as own_tags, kept_between_runs(settings, instance, report) as kept_tags:
        tags = {**locations(settings), **kept_tags, **own_tags, **folders}
        result = run_in_process(job, AT_A_TERMINAL.config, tags, instance)
    if not result.success:
        raise FruitsError(f"The run {result.run_id} of {AUDIT_JOB} failed. {reason(result.all_events)}")


def _register(instance: dg.DagsterInstance, store: Store) -> dict[str, str]:
    """Registers folders that another Dagster home has featurised as partitions; returns the tags of a run of all."""
    folders = [folder for folder in store.mobilenet_features.folders() if is_partition_key(folder)]
    registered = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    if new := [folder for folder in folders if folder not in set(registered)]:
        instance.add_dynamic_partitions(IMAGE_FOLDERS, new)
    return partition_tags(folders, [*registered, *new])
