"""The step launcher: Dagster's launcher for EMR with retries, deadlines, cancellation and explained failures."""

import gzip
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import dagster as dg
from dagster import DagsterEvent
from dagster_aws.emr import EmrJobRunner
from dagster_aws.emr.pyspark_step_launcher import EMR_SPARK_HOME, EmrPySparkStepLauncher

from fruits_assets.aws.environment import ENVIRONMENT_PYTHON, check_versions, read_environment
from fruits_assets.aws.residency import check_residency, s3_places
from fruits_assets.aws.sessions import console_link, is_transient, read_object, translate_errors
from fruits_assets.engines.emr.cluster import UNFINISHED_STEPS, Clusters, step_name
from fruits_assets.engines.relay import EventRelay
from fruits_assets.engines.remote import describe_step
from fruits_assets.engines.staging import CODE, DOCUMENT, StepStaging
from fruits_assets.engines.step_failures import Cause, Evidence, StepError, explain
from fruits_assets.instance.failures import sentence_first
from fruits_assets.instance.internals import NOT_FINISHED_STATUSES, BulkActionsFilter, BulkActionStatus
from fruits_assets.instance.partitions import WHOLE_PIPELINE_JOB
from fruits_assets.money.costs import COST_VARIABLE
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from spark_steps.spark.session import SESSION_CONFIG
from spark_steps.storage import parallel

# Seconds between two requests for the state of a step: short at first, when most failures happen, and never so long
# that messages arrive late.
_SHORTEST_WAIT, _LONGEST_WAIT = 1.0, 5.0
# EMR may report a step of a dead cluster as running for minutes, so the state of the cluster is requested too, once in
# so many requests.
_LOOKS_PER_CLUSTER = 5
# EMR writes a step's log to S3 every few minutes. Seconds to wait for the log where nothing else explains the failure.
_LOG_PATIENCE = 120.0
# Seconds for which transient errors are tolerated, such as a change of network or a fault of AWS: the step runs on
# meanwhile.
_AWAY_PATIENCE = 600.0
# The process of a step ends a moment after its last event.
_PROCESS_PATIENCE = 30.0
_LOG_CHARACTERS = 20_000
_SECONDS_TO_RETRY = 10
# Tag of runs that follow each other, such as those of fruits run: the cluster is kept between them.
KEEP_CLUSTER_TAG = "fruits/keep-cluster"


def links(region: str, cluster_id: str, step_id: str, log_uri: str) -> dict[str, dg.MetadataValue]:
    """Returns metadata that link to a step: EMR's console, Spark's history server, and the log."""
    console = console_link(region, cluster_id)
    return {
        "emr_cluster": dg.MetadataValue.text(cluster_id),
        "emr_step": dg.MetadataValue.text(step_id),
        "emr_console": dg.MetadataValue.url(f"{console}?tab=steps"),
        "spark_history": dg.MetadataValue.url(f"{console}?tab=applications"),
        "log": dg.MetadataValue.path(f"{log_uri}/{cluster_id}/steps/{step_id}/"),
    }


class FruitsEmrStepLauncher(EmrPySparkStepLauncher):
    """Runs a step of an asset on the stack's cluster, and creates the cluster if there is none.

    The constructor makes no request to AWS: Dagster makes this resource on the cluster too, where no step is launched.
    """

    def __init__(self, settings: Settings, jobs: Sequence[str] = ()) -> None:
        with warnings.catch_warnings():
            # The warning: Pipes supersedes step launchers. Pipes would move the code of an asset into another script.
            warnings.simplefilter("ignore")
            super().__init__(  # type: ignore[no-untyped-call]
                region_name=settings.region,
                # Bucket and cluster are those of the stack, which are looked up when a step is launched.
                staging_bucket="",
                staging_prefix="steps",
                wait_for_logs=False,
                action_on_failure="CONTINUE",
                cluster_id="",
                spark_config={},
                local_job_package_path="",
                deploy_local_job_package=True,
            )
        self._settings = settings
        self._jobs = jobs
        self._launched = False
        self._finished_steps: dict[str, str] = {}

    @cached_property
    def _clusters(self) -> Clusters:
        return Clusters(self._settings)

    def launch_step(self, step_context: dg.StepExecutionContext) -> Iterator[DagsterEvent]:
        """Runs a step on the cluster, and yields its events.

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
        clusters, log = self._clusters, step_context.log
        bucket = clusters.infrastructure.staging_bucket
        # Steps, logs and notebooks go to the staging bucket.
        check_residency(self._settings, locations=[*s3_places(self._settings), f"s3://{bucket}"])
        environment = read_environment(clusters.s3, bucket)
        check_versions(environment)
        run_id, step_key = step_context.dagster_run.run_id, step_context.step.key
        attempt = step_context.previous_attempt_count
        staging = StepStaging(clusters.s3, bucket, run_id, step_key, attempt)

        # Before the step starts: its data version comes from the versions that its inputs have now.
        step_context.fetch_external_input_asset_version_info()

        def prepare(cluster_id: str) -> dict[str, Any]:
            cost = json.dumps(clusters.cost_model(cluster_id).to_json())
            variables = {**self._settings.as_environment(), COST_VARIABLE: cost}
            staging.send(
                {**describe_step(step_context, self._jobs), "python": environment.python, "environment": variables}
            )
            step: dict[str, Any] = EmrJobRunner.construct_step_dict_for_command(  # type: ignore[no-untyped-call]
                step_name(step_key, run_id, attempt), self._command(staging, step_key), self.action_on_failure
            )
            return step

        self._launched = True
        cluster_id, step_id = clusters.submit(environment, prepare, log.info)
        where = links(self._settings.region, cluster_id, step_id, f"s3://{bucket}/logs")
        log.info(f"{step_key} is step {step_id} of {cluster_id}: {where['emr_console'].value}")
        relay = EventRelay(step_context, where)
        try:
            yield from self._follow(relay, log, staging, cluster_id, step_id)
        finally:
            # After an interrupt, an error here, or a generator closed by its caller: cancel the step, for no run waits
            # for it.
            if step_id not in self._finished_steps and not relay.ended:
                self._finished_steps[step_id] = cluster_id
                try:
                    clusters.cancel(cluster_id, [step_id])
                except FruitsError as error:
                    log.warning(f"Step {step_id} is not cancelled: {error} It ends with its cluster.")

    def _command(self, staging: StepStaging, step_key: str) -> list[str]:
        """Returns the spark-submit command of a step; any number of partition keys is passed in the step's document."""
        conf = {
            "spark.app.name": step_key,
            "spark.pyspark.python": ENVIRONMENT_PYTHON,
            "spark.pyspark.driver.python": ENVIRONMENT_PYTHON,
            "spark.executor.cores": str(self._settings.executor_cores),
            # Without it, Spark on YARN plans for two cores, because it plans before the executors register.
            "spark.default.parallelism": str(self._settings.executor_cores * self._settings.core_nodes),
            "spark.dynamicAllocation.initialExecutors": str(self._settings.core_nodes),
            "spark.executor.memory": self._settings.executor_memory,
            "spark.executor.memoryOverhead": self._settings.executor_overhead,
            "spark.executorEnv.FRUITS_REGION": self._settings.region,
            f"spark.executorEnv.{parallel.VARIABLE}": str(self._settings.files_at_a_time),
            "spark.executorEnv.LC_ALL": "C.UTF-8",
            **SESSION_CONFIG,
        }
        return [
            f"{EMR_SPARK_HOME}bin/spark-submit",
            *("--master", "yarn"),
            *("--deploy-mode", "client"),
            *(word for name, value in conf.items() for word in ("--conf", f"{name}={value}")),
            *("--py-files", staging.uri(CODE)),
            staging.uri(staging.main_name),
            staging.uri(DOCUMENT),
            self._settings.region,
        ]

    def _follow(
        self, relay: EventRelay, log: Any, staging: StepStaging, cluster_id: str, step_id: str
    ) -> Iterator[DagsterEvent]:
        """Yields the events of a step until its success, failure or retry event.

        Raises:
            StepError: The step ended without such an event, the cluster made it fail, or it took too long.
        """
        where = f"Step {step_id} of cluster {cluster_id}"
        wait, looks, started = _SHORTEST_WAIT, 0, time.monotonic()
        running_since: float | None = None
        away_since: float | None = None
        while not relay.ended:
            with dg.raise_execution_interrupts():
                time.sleep(wait)
            wait, looks = min(wait * 1.2, _LONGEST_WAIT), looks + 1
            self._check_deadline(where, started, running_since)
            try:
                state = self._describe(cluster_id, step_id)["State"]
                over = state not in UNFINISHED_STEPS or (looks % _LOOKS_PER_CLUSTER == 0 and self._is_over(cluster_id))
                # Read the events after the state: the events of a step that has ended are then complete.
                events = staging.new_events()
            except FruitsError as error:
                away_since = away_since or time.monotonic()
                if not is_transient(error.__cause__ or error) or time.monotonic() - away_since > _AWAY_PATIENCE:
                    raise
                log.warning(f"{where} is not heard of for now: {error}")
                continue
            away_since = None
            yield from relay.forward(events)
            if state == "RUNNING" and running_since is None:
                wait, running_since = _SHORTEST_WAIT, time.monotonic()
            if over or relay.ended:
                self._finished_steps[step_id] = cluster_id
            if over and not relay.ended:
                raise StepError(where, self._cause(staging, cluster_id, step_id))
        if relay.cause:
            raise StepError(where, relay.cause)

    def _describe(self, cluster_id: str, step_id: str) -> dict[str, Any]:
        with translate_errors(f"describe step {step_id} of {cluster_id}"):
            described = self._clusters.emr.describe_step(ClusterId=cluster_id, StepId=step_id)
        status: dict[str, Any] = described["Step"]["Status"]
        return status

    def _is_over(self, cluster_id: str) -> bool:
        return self._clusters.describe(cluster_id)[0].state.startswith("TERMINAT")

    def _check_deadline(self, where: str, started: float, running_since: float | None) -> None:
        limit = self._settings.step_minutes if running_since else self._settings.max_age_minutes
        if time.monotonic() - (running_since or started) > limit * 60:
            what = "ran" if running_since else "waited for its turn"
            name = "FRUITS_STEP_MINUTES" if running_since else "FRUITS_MAX_AGE_MINUTES"
            raise StepError(
                where,
                Cause(
                    f"it {what} for more than {limit} minutes, and is cancelled. Raise {name}, or give fewer folders."
                ),
            )

    def _cause(self, staging: StepStaging, cluster_id: str, step_id: str) -> Cause:
        status = self._describe(cluster_id, step_id)
        cluster, reason = self._clusters.describe(cluster_id)
        # By EMR's timeline: a step may start and end between two requests for its state.
        waiting = "StartDateTime" not in status.get("Timeline", {})
        aged = cluster.ends_by is not None and datetime.now(UTC) > cluster.ends_by
        outcome = staging.outcome()
        error = outcome["error"] if outcome else None
        known = error or status.get("FailureDetails", {}).get("Message")
        patience = 0.0 if known or cluster.state.startswith("TERMINAT") else _LOG_PATIENCE
        folder = f"logs/{cluster_id}/steps/{step_id}"
        # The controller's log has the exit code. In client mode spark-submit sends Python's stderr to its own stdout.
        logs = [self._log(staging.bucket, f"{folder}/controller.gz", patience)]
        logs += [self._log(staging.bucket, f"{folder}/{name}.gz", 0.0) for name in ("stdout", "stderr")]
        log = "\n".join(logs)
        details = status.get("FailureDetails", {})
        return explain(Evidence(status["State"], details, cluster.state, reason, error, log, waiting, aged))

    def _log(self, bucket: str, key: str, patience: float) -> str:
        """Returns the end of a log, or an empty text if EMR does not write the log in time."""
        deadline = time.monotonic() + patience
        while True:
            if (packed := read_object(self._clusters.s3, bucket, key)) is not None:
                return gzip.decompress(packed).decode(errors="replace")[-_LOG_CHARACTERS:]
            if time.monotonic() > deadline:
                return ""
            with dg.raise_execution_interrupts():
                time.sleep(1)

    def release(self, instance: dg.DagsterInstance, run: dg.DagsterRun, log: Any) -> None:
        """Ends the cluster if this launcher has used it and no other run or backfill of the instance may need it."""
        if not self._launched or KEEP_CLUSTER_TAG in run.tags:
            return
        if not others_in_flight(instance, timedelta(minutes=self._settings.max_age_minutes), run.run_id):
            self._wait_for_processes()
            self._clusters.end_idle(log.info, is_ours=runs_of(instance), ignored=self._finished_steps)

    def _wait_for_processes(self) -> None:
        """Waits for the processes of finished steps: else EMR would report a step that succeeded as cancelled."""
        deadline = time.monotonic() + _PROCESS_PATIENCE
        for step_id, cluster_id in self._finished_steps.items():
            while self._describe(cluster_id, step_id)["State"] in UNFINISHED_STEPS and time.monotonic() < deadline:
                time.sleep(_SHORTEST_WAIT)


def runs_of(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Returns a function that tests whether the run of an id belongs to an instance."""
    return lambda run_id: instance.get_run_by_id(run_id) is not None


def others_in_flight(instance: dg.DagsterInstance, longest: timedelta, run_id: str | None = None) -> bool:
    """Returns whether an instance has unfinished backfills, or unfinished runs that may need a cluster.

    A run of whole_pipeline needs no cluster itself; the runs that it starts do.

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


def emr_step_launcher(settings: Settings, jobs: Sequence[str]) -> dg.ResourceDefinition:
    """Returns the launcher as a resource, which ends an idle cluster at the end of a run.

    Args:
        settings: The stack, and the size and limits of a cluster.
        jobs: Names of the jobs of the code location.
    """

    def launcher(context: dg.InitResourceContext) -> Iterator[FruitsEmrStepLauncher]:
        made = FruitsEmrStepLauncher(settings, jobs)
        try:
            yield made
        finally:
            if context.instance and context.run:
                try:
                    made.release(context.instance, context.run, context.log)
                except FruitsError as error:
                    # Only a warning: the results of the run are committed, and EMR's idle limit ends the cluster.
                    (context.log or dg.get_dagster_logger()).warning(f"The cluster is not ended now: {error}")

    return dg.ResourceDefinition(resource_fn=launcher, description="Runs steps on EMR.")
