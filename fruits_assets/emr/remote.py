"""A Dagster step on the cluster: rebuilt from its document, run, and its events sent back as JSON."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.definitions.step_launcher import StepRunRef
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.external_step import step_run_ref_to_step_context
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes import deserialize_value, serialize_value

from fruits_assets.partitions import IMAGE_FOLDERS

ENTRY_POINT = "fruits_assets.emr.remote:run_step"
CODE_LOCATION = "fruits_assets.definitions"
# All assets and checks; a job that is not part of the code location, such as that of dg.materialize, is a part of it.
ALL_ASSETS_JOB = "__ASSET_JOB"


def describe_step(step_context: StepExecutionContext) -> dict[str, Any]:
    """Returns what the cluster must know to run a step, as JSON takes it.

    Not a pickle, as of the stock launcher: unpickling what lies in a bucket runs code of whoever can write there.

    Args:
        step_context: Of the launching process.
    """
    run = step_context.dagster_run
    return {
        "entry_point": ENTRY_POINT,
        "job": run.job_name if run.job_name in _jobs_of_code_location() else ALL_ASSETS_JOB,
        "run": serialize_value(run),
        "run_config": step_context.run_config,
        "step_key": step_context.step.key,
        "retry_mode": step_context.retry_mode.value,
        "known_state": serialize_value(step_context.get_known_state()),
        # The cluster's own Dagster instance is empty: a range of partitions would mean nothing there.
        "image_folders": list(step_context.instance.get_dynamic_partitions(IMAGE_FOLDERS)),
    }


def _jobs_of_code_location() -> set[str]:
    from fruits_assets.jobs import ALL_JOBS

    return {job.name for job in ALL_JOBS}


def run_step(document: Mapping[str, Any], publish: Callable[[str], None]) -> bool:
    """Runs the step that ``describe_step`` described.

    Args:
        document: The description.
        publish: Takes each event, serialized.

    Returns:
        Whether the step succeeded; why it did not is among the events.
    """
    reference = step_reference(document)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(IMAGE_FOLDERS, document["image_folders"])

        def listen(event: EventLogEntry) -> None:
            publish(serialize_value(event))

        instance.add_event_listener(reference.run_id, listen)
        step_context = step_run_ref_to_step_context(reference, instance)
        events = list(dagster_event_sequence_for_step(step_context, force_local_execution=True))
    return any(event.is_step_success for event in events)


def step_reference(document: Mapping[str, Any]) -> StepRunRef:
    """Returns Dagster's own reference to the described step."""
    run = deserialize_value(document["run"], DagsterRun)
    if run.asset_check_selection:
        # Dagster would rebuild the job from the selected assets alone, without the checks of others.
        run = run._replace(asset_selection=None, asset_check_selection=None)
    repository = ReconstructableRepository(ModuleCodePointer(CODE_LOCATION, "defs", working_directory=None))
    return StepRunRef(
        run_config=document["run_config"],
        dagster_run=run,
        run_id=run.run_id,
        retry_mode=RetryMode(document["retry_mode"]),
        step_key=document["step_key"],
        recon_job=ReconstructableJob(repository=repository, job_name=document["job"]),
        known_state=deserialize_value(document["known_state"], KnownExecutionState),
    )
