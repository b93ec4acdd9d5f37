"""The step launcher: retries, deadlines, cancellation and explained failures of steps, whichever engine runs them."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

import dagster as dg
from dagster import DagsterEvent

from fruits_assets.aws.environment import check_versions, read_environment
from fruits_assets.aws.residency import check_residency, s3_places
from fruits_assets.aws.sessions import is_transient
from fruits_assets.engines.engine import Engine, JobRef, JobRequest, JobState, Limit
from fruits_assets.engines.in_flight import others_in_flight, runs_of
from fruits_assets.engines.relay import EventRelay
from fruits_assets.engines.remote import describe_step
from fruits_assets.engines.staging import StepStaging
from fruits_assets.engines.step_failures import Cause, StepError, explain, explain_error
from fruits_assets.engines.unseen import end_unseen
from fruits_assets.instance.failures import sentence_first
from fruits_assets.instance.tags import BILLED_TAG, CREATED_TAG, KEEP_TAG, PLACE_TAG
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# Seconds between two requests for the state of a job: short at first, when most failures happen, and never so long
# that messages arrive late.
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 5.0
# Seconds for which transient errors are tolerated, such as a change of network or a fault of AWS: the step runs on
# meanwhile.
_AWAY_PATIENCE = 600.0
# The process of a step ends a moment after its last event.
_PROCESS_PATIENCE = 30.0
_SECONDS_TO_RETRY = 10


class LaunchesSteps:
    """What every step launcher does, by the engine that its class makes.

    The constructor makes no request: Dagster makes this resource where the step runs too, and no step is launched
    there.
    """

    def prepare(self, settings: Settings, jobs: Sequence[str], make_engine: Callable[[Settings], Engine]) -> None:
        """Sets what the launcher works with.

        Args:
            settings: The platform's settings.
            jobs: Names of the jobs of the code location.
            make_engine: Makes the engine, when a step is launched.
        """
        self._settings = settings
        self._jobs = jobs
        self._make_engine = make_engine
        self._launched = False
        self._finished: list[JobRef] = []

    @cached_property
    def _engine(self) -> Engine:
        return self._make_engine(self._settings)

    def launch_step(self, step_context: dg.StepExecutionContext) -> Iterator[DagsterEvent]:
        """Runs a step on the engine, and yields its events.

        Raises:
            dg.RetryRequested: The step failed for a transient reason.
            dg.Failure: The step cannot be run, or failed for a permanent reason.
        """
        with sentence_first(allow_retries=False):
            try:
                yield from self._launch(step_context)
            except StepError as error:
                if error.cause.is_transient and step_context.previous_attempt_count < self._settings.step_retries:
                    raise dg.RetryRequested(self._settings.step_retries, _SECONDS_TO_RETRY) from error
                raise

    def _launch(self, step_context: dg.StepExecutionContext) -> Iterator[DagsterEvent]:
        engine, log = self._engine, step_context.log
        request = self._request(step_context)
        # Before the step starts: its data version comes from the versions that its inputs have now.
        step_context.fetch_external_input_asset_version_info()
        self._launched = True
        job = self._submit(request, step_context)
        links = engine.links(job)
        where = next((link.value for link in links.values() if isinstance(link, dg.UrlMetadataValue)), "")
        log.info(f"{request.step_key}: {job}, {where}")
        relay = EventRelay(step_context, links, partial(explain_error, words=engine.words))
        try:
            yield from self._follow(relay, log, request.staging, job)
        finally:
            # After an interrupt, an error here, or a generator closed by its caller: cancel the job, for no run waits
            # for it.
            if job not in self._finished and not relay.ended:
                self._finished.append(job)
                try:
                    engine.cancel(job)
                except FruitsError as error:
                    log.warning(f"{job} is not cancelled: {error} {engine.words.when_not_cancelled}")

    def _submit(self, request: JobRequest, step_context: dg.StepExecutionContext) -> JobRef:
        """Starts a job, and tags the run with its place, and with what was created even if the job was not started."""
        tags = {}
        try:
            job = self._engine.submit(request, step_context.log.info)
            tags = {PLACE_TAG: job.place}
        finally:
            tags |= {CREATED_TAG: " ".join(self._engine.created)} if self._engine.created else {}
            if tags:
                step_context.instance.add_run_tags(request.run_id, tags)
        return job

    def _request(self, step_context: dg.StepExecutionContext) -> JobRequest:
        engine = self._engine
        bucket = engine.staging_bucket
        # Steps, logs and notebooks go to the staging bucket.
        check_residency(self._settings, locations=[*s3_places(self._settings), f"s3://{bucket}"])
        environment = read_environment(engine.s3, bucket)
        check_versions(environment)
        run_id, step_key = step_context.dagster_run.run_id, step_context.step.key
        attempt = step_context.previous_attempt_count
        return JobRequest(
            step_key=step_key,
            run_id=run_id,
            attempt=attempt,
            settings=self._settings,
            environment=environment,
            staging=StepStaging(engine.s3, bucket, run_id, step_key, attempt),
            document=describe_step(step_context, self._jobs),
        )

    def _follow(self, relay: EventRelay, log: Any, staging: StepStaging, job: JobRef) -> Iterator[DagsterEvent]:
        """Yields the events of a step until its success, failure or retry event.

        Raises:
            StepError: The job ended without such an event, the engine made it fail, or it took too long.
        """
        wait, started = _SHORTEST_WAIT, time.monotonic()
        running_since: float | None = None
        away_since: float | None = None
        while not relay.ended:
            with dg.raise_execution_interrupts():
                time.sleep(wait)
            wait = min(wait * 1.2, _LONGEST_WAIT)
            self._check_deadline(job, started, running_since)
            try:
                state = self._engine.state(job)
                # Read the events after the state: the events of a job that has ended are then complete.
                events = staging.new_events()
            except FruitsError as error:
                away_since = away_since or time.monotonic()
                passes = is_transient(error) or is_transient(error.__cause__ or error)
                if not passes or time.monotonic() - away_since > _AWAY_PATIENCE:
                    raise
                log.warning(f"{job} is not heard of for now: {error}")
                continue
            away_since = None
            yield from relay.forward(events)
            if state == JobState.RUNNING and running_since is None:
                wait, running_since = _SHORTEST_WAIT, time.monotonic()
            if state.is_over or relay.ended:
                self._finished.append(job)
            if state.is_over and not relay.ended:
                outcome = staging.outcome()
                error_of_step = outcome["error"] if outcome else None
                raise StepError(str(job), explain(self._engine.evidence(job, error_of_step, log.info)))
        if relay.cause:
            raise StepError(str(job), relay.cause)

    def _check_deadline(self, job: JobRef, started: float, running_since: float | None) -> None:
        limit = Limit(self._settings.step_minutes, "FRUITS_STEP_MINUTES")
        limit = limit if running_since else self._engine.waiting_limit
        if time.monotonic() - (running_since or started) > limit.minutes * 60:
            what = "ran" if running_since else "waited for its turn"
            raise StepError(
                str(job),
                Cause(
                    f"it {what} for more than {limit.minutes} minutes, and is cancelled. Raise {limit.setting}, or "
                    "give fewer folders."
                ),
            )

    def release(self, instance: dg.DagsterInstance, run: dg.DagsterRun, log: Any) -> None:
        """Ends what this launcher has used and no other run or backfill of the instance may need."""
        if not self._launched:
            return
        self._record_what_was_billed(instance, run, log)
        if KEEP_TAG in run.tags:
            return
        if not others_in_flight(instance, timedelta(minutes=self._settings.max_age_minutes), run.run_id):
            try:
                self._wait_for_processes()
                self._engine.release(log.info, is_ours=runs_of(instance), ignored=self._finished)
            except FruitsError as error:
                end_unseen(self._engine, instance, self._settings, error, log.info, run.run_id)

    def _wait_for_processes(self) -> None:
        """Waits for the processes of finished steps: else a step that succeeded would be reported as cancelled."""
        deadline = time.monotonic() + _PROCESS_PATIENCE
        for job in self._finished:
            while not self._engine.state(job).is_over and time.monotonic() < deadline:
                time.sleep(_SHORTEST_WAIT)

    def _record_what_was_billed(self, instance: dg.DagsterInstance, run: dg.DagsterRun, log: Any) -> None:
        """Tags the run with what its jobs were billed, where the engine tells that for each job."""
        if not self._engine.tells_billed:
            return
        self._wait_for_processes()
        billed = {job: self._engine.billed_eur(job) for job in self._finished}
        known = [eur for eur in billed.values() if eur is not None]
        if known:
            missing = len(billed) - len(known)
            note = f", without {missing} jobs that are not billed yet" if missing else ""
            log.info(f"{len(known)} jobs of this run were billed {sum(known):.4f} EUR{note}.")
            instance.add_run_tags(run.run_id, {BILLED_TAG: f"{sum(known):.6f}"})


def launcher_resource(
    make_launcher: Callable[[Settings, Sequence[str]], LaunchesSteps], settings: Settings, jobs: Sequence[str]
) -> dg.ResourceDefinition:
    """Returns a launcher as a resource, which ends at the end of a run what nothing needs any more.

    Args:
        make_launcher: Makes the launcher, for settings and the names of the jobs of the code location.
        settings: Where steps run, and the limits.
        jobs: Names of the jobs of the code location.
    """

    def launcher(context: dg.InitResourceContext) -> Iterator[LaunchesSteps]:
        made = make_launcher(settings, jobs)
        try:
            yield made
        finally:
            if context.instance and context.run:
                try:
                    made.release(context.instance, context.run, context.log)
                except FruitsError as error:
                    # Only a warning: the results of the run are committed, and the engine's own limits hold.
                    log = context.log or dg.get_dagster_logger()
                    log.warning(f"What the run has used is not released now: {error}")

    return dg.ResourceDefinition(resource_fn=launcher, description=f"Runs steps on {settings.deployment}.")
