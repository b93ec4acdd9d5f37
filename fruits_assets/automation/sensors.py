"""The sensors of automation, stopped by default, and the sensor that marks runs of killed processes as failed."""

import itertools
import json

import dagster as dg

from fruits_assets.automation.decisions import first_part
from fruits_assets.automation.survey import Step, StoreSurvey
from fruits_assets.aws.residency import check_residency
from fruits_assets.instance.in_flight import partitions_in_flight, unfinished_runs, what_is_under_way
from fruits_assets.instance.internals import FINISHED_STATUSES
from fruits_assets.instance.liveness import end_runs_of_killed_processes
from fruits_assets.instance.partitions import (
    IMAGE_FOLDERS,
    JOBS_WITHOUT_FOLDERS,
    SYNC_JOB,
    folder_changes,
    partition_tags,
)
from fruits_assets.instance.tags import AUTOMATIC_KEY_TAG, AUTOMATIC_TAG, BECAUSE_TAG, locations
from fruits_assets.jobs.jobs import extract_features, fit_pca, reduce_folders, sync_image_folders
from fruits_assets.money.budget_gate import check_automatic_run
from fruits_assets.settings import Settings
from spark_steps.erasure.carry_out import refuse_while_erasing
from spark_steps.errors import FruitsError
from spark_steps.photos.listing import list_image_folders
from spark_steps.store.store import Store

# After so many consecutive failures of automatic runs of a job, no more are requested until a run that a person starts
# succeeds.
FAILURES_IN_A_ROW = 3
_RUNS_LOOKED_AT = 50


def automation_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Returns the sensors of automation.

    Args:
        settings: The interval of their evaluations.
    """
    return [image_folders_sensor(settings), keep_up_to_date_sensor(settings)]


def image_folders_sensor(settings: Settings) -> dg.SensorDefinition:
    """Returns the sensor that keeps the partitions in step with the folders."""

    @dg.sensor(
        name="image_folders_sensor",
        job=sync_image_folders,
        minimum_interval_seconds=settings.automation_minutes * 60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for sync_image_folders when folders have appeared or gone.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], store: dg.ResourceParam[Store]
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            return _folders(context.instance, settings, store)
        except FruitsError as error:
            return dg.SkipReason(str(error))

    return sensor


@dg.sensor(
    minimum_interval_seconds=30,
    # Running by default, unlike the sensors of automation: it starts no run, and without it a run whose process was
    # killed would block the queue.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process was killed, so that the next run in the queue begins.",
)
def killed_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Checks whether the processes of unfinished runs are alive that ``fruits run`` and ``whole_pipeline`` started."""
    ended = end_runs_of_killed_processes(context.instance)
    return dg.SkipReason(
        f"Marked as failed, because their processes were killed: {', '.join(run_id[:8] for run_id in ended)}."
        if ended
        else "Every unfinished run has its process."
    )


def _folders(instance: dg.DagsterInstance, settings: Settings, store: Store) -> dg.RunRequest | dg.SkipReason:
    """Compares the folders with the partitions; where the listing fails, no run is requested."""
    check_residency(settings)
    refuse_while_erasing(store)
    found = list_image_folders(settings.images)
    store.check_images(settings.images)
    registered = list(instance.get_dynamic_partitions(IMAGE_FOLDERS))
    if not found.photos:
        return dg.SkipReason(f"There is no photo below {settings.images}; nothing is added or dropped.")
    in_flight = partitions_in_flight(instance, registered, without=JOBS_WITHOUT_FOLDERS)
    changes = folder_changes(found.photos, registered, in_flight)
    if not changes.add and not changes.drop:
        kept = f" Gone, but kept while a run works on them: {', '.join(changes.kept)}." if changes.kept else ""
        return dg.SkipReason(f"The {len(registered):,} partitions are those of the folders.{kept}")
    # No run key: it would stop the second of two equal changes, as when a folder is added, removed and added again.
    if any(run.job_name == SYNC_JOB for run in unfinished_runs(instance)):
        return dg.SkipReason("A run of sync_image_folders is under way.")
    if failing := _failing(instance, SYNC_JOB):
        return dg.SkipReason(failing)
    because = f"{len(changes.add)} folders are new, {len(changes.drop)} are gone."
    return dg.RunRequest(tags={**locations(settings), AUTOMATIC_TAG: "image_folders_sensor", BECAUSE_TAG: because})


def keep_up_to_date_sensor(settings: Settings) -> dg.SensorDefinition:
    """Returns the sensor that keeps features, PCA model and reduced features up to date with the photos."""

    @dg.sensor(
        name="keep_up_to_date_sensor",
        jobs=[extract_features, fit_pca, reduce_folders],
        minimum_interval_seconds=settings.automation_minutes * 60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for one run at a time: the features of new and changed photos, then a new PCA where enough "
        "has changed (FRUITS_REFIT_SHARE, FRUITS_REFIT_DRIFT), then the reduced features that do not follow from them. "
        "On AWS only as far as the month's budget goes. Each tick says what it found.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], store: dg.ResourceParam[Store]
    ) -> dg.RunRequest | dg.SkipReason:
        try:
            return _next_run(context, settings, store)
        except FruitsError as error:
            return dg.SkipReason(str(error))

    return sensor


def _next_run(context: dg.SensorEvaluationContext, settings: Settings, store: Store) -> dg.RunRequest | dg.SkipReason:
    """Requests the first step that is due; reads only listings where nothing has changed since the last evaluation."""
    instance = context.instance
    if busy := what_is_under_way(instance):
        return dg.SkipReason(busy)
    check_residency(settings)
    refuse_while_erasing(store)
    store.check_images(settings.images)
    look = StoreSurvey(settings, store, instance)
    before = json.loads(context.cursor or "{}")
    if before.get("digest") == look.digest and before["runs"] == _last_runs(instance):
        return dg.SkipReason(before["told"])
    findings: list[str] = []
    for step in look.steps(findings.append):
        key = f"{step.job}-{look.digest}"
        if refusal := _asked_in_vain(instance, step.job, key):
            findings.append(refusal)
            continue
        request = _request(step, key, look, settings)
        context.log.info(" ".join(findings))
        return request
    context.update_cursor(json.dumps({"digest": look.digest, "runs": _last_runs(instance), "told": " ".join(findings)}))
    return dg.SkipReason(" ".join(findings))


def _last_runs(instance: dg.DagsterInstance) -> list[str]:
    """Returns the ids of the last runs: a change means that a run was started or deleted, so the store is read anew."""
    return [run.run_id for run in instance.get_runs(limit=FAILURES_IN_A_ROW)]


def _request(step: Step, key: str, look: StoreSurvey, settings: Settings) -> dg.RunRequest:
    """Returns the request for a step.

    Raises:
        FruitsError: The month's budget may not allow it.
    """
    expected = check_automatic_run(settings, step.new_photos, step.photo_bytes)
    tags = {
        **locations(settings),
        AUTOMATIC_TAG: "keep_up_to_date_sensor",
        BECAUSE_TAG: step.because,
        AUTOMATIC_KEY_TAG: key,
    }
    if step.folders:
        folders = first_part(list(step.folders), step.folders, expected.parts) if expected else list(step.folders)
        tags |= partition_tags(folders, look.partitions)
    return dg.RunRequest(run_key=key, job_name=step.job, tags=tags)


def _asked_in_vain(instance: dg.DagsterInstance, job: str, key: str) -> str | None:
    """Returns why a step is not requested again, as a sentence; None where it may be requested."""
    asked = instance.get_runs(dg.RunsFilter(tags={AUTOMATIC_KEY_TAG: key}, statuses=FINISHED_STATUSES), limit=1)
    if asked:
        return (
            f"Run {asked[0].run_id[:8]} of {job} was to see to that and ended as {asked[0].status.value}: it is not "
            "asked for again before something changes. Start it yourself."
        )
    return _failing(instance, job)


def _failing(instance: dg.DagsterInstance, job: str) -> str | None:
    """Returns a sentence where a job has failed too often for another automatic run; None where it has not."""
    last = instance.get_runs(dg.RunsFilter(job_name=job, statuses=FINISHED_STATUSES), limit=_RUNS_LOOKED_AT)
    since = itertools.takewhile(lambda run: run.status != dg.DagsterRunStatus.SUCCESS, last)
    failed = [run for run in since if run.status == dg.DagsterRunStatus.FAILURE and AUTOMATIC_TAG in run.tags]
    if len(failed) < FAILURES_IN_A_ROW:
        return None
    return (
        f"{len(failed)} automatic runs of {job} have failed since the last that succeeded, {failed[0].run_id[:8]} "
        "last: none is asked for before one that you start succeeds."
    )
