"""A Dagster step that runs elsewhere: rebuilt from a JSON document and run there; its events are sent back as JSON."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import dagster as dg

from fruits_assets.instance.internals import (
    KnownExecutionState,
    ModuleCodePointer,
    ReconstructableJob,
    ReconstructableRepository,
    RetryMode,
    dagster_event_sequence_for_step,
)
from fruits_assets.instance.partitions import IMAGE_FOLDERS

ENTRY_POINT = "fruits_assets.engines.remote:run_step"
CODE_LOCATION = "fruits_assets.definitions"
# Dagster's implicit job of all assets and checks. It has the steps of any job of assets, also of a job that is not in
# the code location, such as that of dg.materialize.
ALL_ASSETS_JOB = "__ASSET_JOB"


def describe_step(step_context: dg.StepExecutionContext, jobs: Collection[str]) -> dict[str, Any]:
    """Returns the JSON document from which a step is rebuilt and run elsewhere.

    Dagster's own launcher sends a pickle. JSON is safer: with write access to the bucket, anyone could replace a pickle
    by one that runs their code.

    Args:
        step_context: The step's context in the launching process.
        jobs: Names of the jobs of the code location.
    """
    run = step_context.dagster_run
    return {
        "entry_point": ENTRY_POINT,
        "job": run.job_name if run.job_name in jobs else ALL_ASSETS_JOB,
        "run": dg.serialize_value(run),
        "run_config": step_context.run_config,
        "step_key": step_context.step.key,
        "retry_mode": step_context.retry_mode.value,
        "known_state": dg.serialize_value(step_context.get_known_state()),
        # The step's own Dagster instance has no partitions, so it could not resolve a range of them.
        "image_folders": list(step_context.instance.get_dynamic_partitions(IMAGE_FOLDERS)),
    }


def run_step(document: Mapping[str, Any], publish: Callable[[str], None]) -> bool:
    """Runs the step that ``describe_step`` described.

    Args:
        document: The description.
        publish: Takes each event, serialized.

    Returns:
        Whether the step succeeded; the events contain the reason of a failure.
    """
    reference = step_reference(document)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(IMAGE_FOLDERS, document["image_folders"])

        def listen(event: dg.EventLogEntry) -> None:
            publish(dg.serialize_value(event))

        instance.add_event_listener(reference.run_id, listen)
        step_context = dg.step_run_ref_to_step_context(reference, instance)
        events = list(dagster_event_sequence_for_step(step_context, force_local_execution=True))
    return any(event.is_step_success for event in events)


def step_reference(document: Mapping[str, Any]) -> dg.StepRunRef:
    """Returns Dagster's own reference to the described step."""
    run = dg.deserialize_value(document["run"], dg.DagsterRun)
    if run.asset_check_selection:
        # With a selection, Dagster would rebuild the job from the selected assets only, without the checks of others.
        run = run._replace(asset_selection=None, asset_check_selection=None)
    repository = ReconstructableRepository(ModuleCodePointer(CODE_LOCATION, "defs", working_directory=None))
    return dg.StepRunRef(
        run_config=document["run_config"],
        dagster_run=run,
        run_id=run.run_id,
        retry_mode=RetryMode(document["retry_mode"]),
        step_key=document["step_key"],
        recon_job=ReconstructableJob(repository=repository, job_name=document["job"]),
        known_state=dg.deserialize_value(document["known_state"], KnownExecutionState),
    )
