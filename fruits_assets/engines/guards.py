"""Guards against jobs that run although no run needs them, and against what costs money without a job.

Here are those that need a machine with this platform: a sensor, and the end of a run (see also
``launcher.LaunchesSteps.release``). Each engine has others that need none.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg

from fruits_assets.engines.engine import Engine, Job, JobRef, JobState
from fruits_assets.engines.in_flight import others_in_flight, places_of_runs, runs_of
from fruits_assets.engines.registry import LOCAL, entry_of
from fruits_assets.engines.unseen import end_unseen
from fruits_assets.instance.internals import FINISHED_STATUSES
from fruits_assets.instance.tags import KEEP_TAG
from fruits_assets.settings import Settings
from spark_steps.denials import denial_of
from spark_steps.errors import FruitsError

# Seconds pass between two runs of one fruits run: what is idle for less time may be between such runs.
IDLE_GRACE = timedelta(seconds=30)
# A step sends its last event some seconds before its engine reports it as completed.
_PATIENCE_AT_END = 60.0


def orphans(jobs: Collection[Job], runs: Mapping[str, dg.DagsterRunStatus]) -> list[Job]:
    """Returns the unfinished jobs whose run is over.

    Args:
        jobs: Jobs of the stack.
        runs: States of the runs of this Dagster instance, by run id. Jobs of other runs belong to other instances and
            are not returned.
    """
    return [job for job in jobs if not job.state.is_over and runs.get(job.run_id or "") in FINISHED_STATUSES]


@dg.sensor(
    minimum_interval_seconds=30,
    # Running by default, unlike the automation sensors: it only ends jobs and what they ran on, and starts nothing.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Cancels steps whose run is over, and ends what has nothing to do.",
)
def guard_sensor(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
    """Looks at the stack's jobs; what another instance has used last is left to the engine's own limits."""
    actions: list[str] = []
    try:
        engine = entry_of(settings.deployment).make_engine(settings)
        lost = orphans_of(engine, context.instance)
        for job in lost:
            if job.state != JobState.ENDING:
                engine.cancel(job.ref)
                actions.append(f"{job.ref} is cancelled: its run is over.")
        if not others_in_flight(context.instance, timedelta(minutes=settings.max_age_minutes)):
            ours, ending = runs_of(context.instance), _ending(lost)
            engine.release(actions.append, is_ours=ours, ignored=ending, grace=IDLE_GRACE, patience=10)
    except FruitsError as error:
        # With what was done before.
        return dg.SkipReason(" ".join([*actions, str(error)]))
    return dg.SkipReason(" ".join(actions) or "Nothing runs that no run needs.")


def orphans_of(engine: Engine, instance: dg.DagsterInstance) -> list[Job]:
    """Returns the engine's unfinished jobs whose run is over."""
    jobs = engine.unfinished_jobs()
    found = (instance.get_run_by_id(run_id) for run_id in {job.run_id for job in jobs if job.run_id})
    return orphans(jobs, {run.run_id: run.status for run in found if run})


def _ending(lost: Collection[Job]) -> list[JobRef]:
    """Returns the orphans that were cancelled and have not ended since: what they run on is ended with them."""
    return [job.ref for job in lost if job.state == JobState.ENDING]


@contextmanager
def kept_between_runs(
    settings: Settings, instance: dg.DagsterInstance, report: Callable[[str], None]
) -> Iterator[dict[str, str]]:
    """Keeps what steps run on between consecutive runs, and ends it after the last of them.

    Args:
        settings: The settings; in the deployment ``local`` nothing is done.
        instance: The Dagster instance of the runs.
        report: Takes progress messages, a line at a time.

    Yields:
        Tags for the runs.
    """
    if settings.deployment == LOCAL:
        yield {}
        return
    try:
        yield {KEEP_TAG: "true"}
    finally:
        try:
            _release_in_the_end(settings, instance, report)
        except FruitsError as error:
            report(f"  warning: what the steps ran on is not ended now: {error}")


def _release_in_the_end(settings: Settings, instance: dg.DagsterInstance, report: Callable[[str], None]) -> None:
    try:
        engine = entry_of(settings.deployment).make_engine(settings)
    except FruitsError as error:
        # Runs that were denied the same have sent no step anywhere.
        if denial_of(error) is None or any(places_of_runs(instance, timedelta(minutes=settings.max_age_minutes))):
            raise
        return
    try:
        _release_when_idle(engine, settings, instance, report)
    except FruitsError as error:
        end_unseen(engine, instance, settings, error, lambda line: report(f"  {line}"))


def _release_when_idle(
    engine: Engine, settings: Settings, instance: dg.DagsterInstance, report: Callable[[str], None]
) -> None:
    deadline = time.monotonic() + _PATIENCE_AT_END
    while engine.is_waiting_for_work():
        if others_in_flight(instance, timedelta(minutes=settings.max_age_minutes)):
            report("  what the steps ran on is kept: other runs are in flight")
            return
        ending = _ending(orphans_of(engine, instance))
        engine.release(lambda line: report(f"  {line}"), is_ours=runs_of(instance), ignored=ending)
        if time.monotonic() > deadline:
            report(f"  another step is at work; {engine.words.when_idle}")
            return
        time.sleep(2)
