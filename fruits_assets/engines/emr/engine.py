"""EMR on EC2 as an engine: a job is a step of one of the stack's clusters."""

import gzip
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster_aws.emr import EmrJobRunner
from dagster_aws.emr.pyspark_step_launcher import EMR_SPARK_HOME

from fruits_assets.aws import clock
from fruits_assets.aws.environment import ENVIRONMENT_PYTHON
from fruits_assets.aws.sessions import console_link, last_modified, read_object, translate_errors
from fruits_assets.engines import step_failures
from fruits_assets.engines.emr.cluster import Clusters
from fruits_assets.engines.emr.failures import WORDS, Evidence
from fruits_assets.engines.emr.steps import CANCELLING, UNFINISHED_STEPS, Step
from fruits_assets.engines.engine import Job, JobRef, JobRequest, JobState, Limit, Report
from fruits_assets.engines.spark_conf import spark_conf
from fruits_assets.engines.staging import CODE, DOCUMENT, StepStaging
from fruits_assets.money.allowance import LOCK_PATIENCE
from fruits_assets.money.budget import worst_case_eur
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# EMR may report a step of a dead cluster as running for minutes, so the state of the cluster is requested too, once in
# so many requests.
_LOOKS_PER_CLUSTER = 5
# EMR uploads a step's logs one after the other.
_REST_OF_LOGS = 5.0
_LOG_CHARACTERS = 20_000
_STATES = {
    "PENDING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    CANCELLING: JobState.ENDING,
    "COMPLETED": JobState.SUCCEEDED,
    "CANCELLED": JobState.CANCELLED,
    "FAILED": JobState.FAILED,
    "INTERRUPTED": JobState.FAILED,
}


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


def step_ref(cluster_id: str, step_id: str) -> JobRef:
    """Returns a step as a job."""
    return JobRef(cluster_id, step_id, f"Step {step_id} of cluster {cluster_id}")


def command(settings: Settings, staging: StepStaging, step_key: str) -> list[str]:
    """Returns the spark-submit command of a step; any number of partition keys is passed in the step's document."""
    conf = {
        "spark.app.name": step_key,
        "spark.pyspark.python": ENVIRONMENT_PYTHON,
        "spark.pyspark.driver.python": ENVIRONMENT_PYTHON,
        # Without it, Spark on YARN plans for two cores, because it plans before the executors register.
        "spark.default.parallelism": str(settings.executor_cores * settings.core_nodes),
        "spark.dynamicAllocation.initialExecutors": str(settings.core_nodes),
        "spark.executor.memoryOverhead": settings.executor_overhead,
        **spark_conf(settings),
    }
    return [
        f"{EMR_SPARK_HOME}bin/spark-submit",
        *("--master", "yarn"),
        *("--deploy-mode", "client"),
        *(word for name, value in conf.items() for word in ("--conf", f"{name}={value}")),
        *("--py-files", staging.uri(CODE)),
        staging.uri(staging.main_name),
        staging.uri(DOCUMENT),
        settings.region,
    ]


class EmrEngine:
    """The clusters of a stack, as an engine.

    Attributes:
        settings: The platform's settings.
        clusters: The clusters.
        words: How messages name EMR's things.
        tells_billed: EMR bills clusters, not steps.
    """

    words = WORDS
    tells_billed = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clusters = Clusters(settings)
        self._looks = Counter[JobRef]()

    @property
    def s3(self) -> Any:
        """boto3's client of S3."""
        return self.clusters.s3

    @property
    def staging_bucket(self) -> str:
        """The stack's staging bucket."""
        return self.clusters.infrastructure.staging_bucket

    @property
    def created(self) -> Sequence[str]:
        """The clusters that this engine has created and not ended."""
        return self.clusters.created

    @property
    def waiting_limit(self) -> Limit:
        """A step waits as long as its cluster may live."""
        return Limit(self.settings.max_age_minutes, "FRUITS_MAX_AGE_MINUTES")

    def worst_case_eur(self) -> float:
        """Returns the most that a new cluster may cost."""
        return worst_case_eur(self.settings, read_prices(self.settings))

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a step, and adds it to an active cluster, or to a new one where there is none."""
        for cluster in self.clusters.active():
            for step in self._unfinished(cluster.id):
                if step.name == request.name:
                    return step_ref(cluster.id, step.id)

        def prepare(cluster_id: str) -> dict[str, Any]:
            request.stage(self.clusters.cost_model(cluster_id))
            step: dict[str, Any] = EmrJobRunner.construct_step_dict_for_command(  # type: ignore[no-untyped-call]
                request.name, command(self.settings, request.staging, request.step_key), "CONTINUE"
            )
            return step

        return step_ref(*self.clusters.submit(request.environment, prepare, report))

    def state(self, job: JobRef) -> JobState:
        """Returns the state of a step; LOST where its cluster is over and EMR still reports it as under way."""
        state = _STATES[self._describe(job)["State"]]
        self._looks[job] += 1
        if not state.is_over and self._looks[job] % _LOOKS_PER_CLUSTER == 0:
            return JobState.LOST if self.clusters.describe(job.place)[0].state.startswith("TERMINAT") else state
        return state

    def cancel(self, job: JobRef) -> None:
        """Asks EMR to cancel a step."""
        self.clusters.cancel(job.place, [job.id])

    def evidence(self, job: JobRef, error: Mapping[str, Any] | None, report: Report) -> step_failures.Evidence:
        """Returns what EMR knows of a step and its cluster; waits for the log where nothing else tells the reason."""
        status = self._describe(job)
        cluster, reason = self.clusters.describe(job.place)
        details = status.get("FailureDetails", {})
        folder = f"logs/{job.place}/steps/{job.id}"
        log_uri = f"s3://{self.staging_bucket}/{folder}/"
        # EMR uploads logs every 5 minutes, which the cluster costs meanwhile: waited for only where nothing else tells
        # the reason.
        message = details.get("Message", "")
        known = error or (message and not step_failures.is_unnamed_denial(message))
        patience = 0.0 if known or cluster.state.startswith("TERMINAT") else self.settings.log_minutes * 60.0
        if patience:
            report(
                f"{job} has ended without a reason. Its log is waited for, up to {self.settings.log_minutes} "
                f"minutes (FRUITS_LOG_MINUTES): {log_uri}"
            )
        return Evidence(
            step=status["State"],
            details=details,
            cluster=cluster.state,
            cluster_reason=reason,
            error=error,
            log=self._bootstrap_log(job.place)
            if reason.get("Code") == "BOOTSTRAP_FAILURE"
            else self._logs(folder, patience, status.get("Timeline", {}).get("EndDateTime")),
            # By EMR's timeline: a step may start and end between two requests for its state.
            waiting="StartDateTime" not in status.get("Timeline", {}),
            aged=cluster.ends_by is not None and clock.now() > cluster.ends_by,
            log_uri=log_uri,
        ).in_general()

    def billed_eur(self, job: JobRef) -> float | None:
        """Returns None: EMR bills clusters, not steps."""
        return None

    def links(self, job: JobRef) -> Mapping[str, dg.MetadataValue]:
        """Returns metadata that link to a step."""
        return links(self.settings.region, job.place, job.id, f"s3://{self.staging_bucket}/logs")

    def unfinished_jobs(self) -> list[Job]:
        """Returns the unfinished steps of the stack's active clusters."""
        return [
            Job(step_ref(cluster.id, step.id), _STATES[step.state], step.run_id)
            for cluster in self.clusters.active()
            for step in self._unfinished(cluster.id)
        ]

    def is_waiting_for_work(self) -> bool:
        """Returns whether a cluster is there, busy or not."""
        return bool(self.clusters.active())

    def release(
        self,
        report: Report,
        *,
        is_ours: Callable[[str], bool],
        ignored: Collection[JobRef],
        grace: timedelta = timedelta(0),
        patience: float | None = None,
    ) -> None:
        """Ends the clusters that are idle and whose last step belongs to a run of this Dagster instance."""
        steps = {job.id for job in ignored}
        lock_patience = LOCK_PATIENCE if patience is None else patience
        self.clusters.end_idle(report, is_ours=is_ours, grace=grace, ignored=steps, patience=lock_patience)

    def end_unseen(self, created: Sequence[str], why: FruitsError, report: Report) -> None:
        """Ends clusters that cannot be looked at; their schedules stay, and do nothing to a cluster that has ended."""
        self.clusters.end_unseen(created, why, report)

    def _unfinished(self, cluster_id: str) -> Sequence[Step]:
        return [step for step in self.clusters.steps(cluster_id) if step.state in UNFINISHED_STEPS]

    def _describe(self, job: JobRef) -> dict[str, Any]:
        with translate_errors(f"describe step {job.id} of {job.place}"):
            described = self.clusters.emr.describe_step(ClusterId=job.place, StepId=job.id)
        status: dict[str, Any] = described["Step"]["Status"]
        return status

    def _logs(self, folder: str, patience: float, ended: datetime | None) -> str:
        # The controller's log has the exit code. In client mode spark-submit sends Python's stderr to its own stdout.
        waits = {"controller": patience, "stdout": min(patience, _REST_OF_LOGS), "stderr": min(patience, _REST_OF_LOGS)}
        settled = time.monotonic() + _REST_OF_LOGS
        return "\n".join(self._log(f"{folder}/{name}.gz", wait, ended, settled) for name, wait in waits.items())

    def _bootstrap_log(self, cluster_id: str) -> str:
        """Returns what the bootstrap actions of a cluster have written to stderr, as far as EMR has uploaded it."""
        with translate_errors(f"read the logs of {cluster_id}"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.staging_bucket, Prefix=f"logs/{cluster_id}/node/"
            )
            keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
            packed = [
                read_object(self.s3, self.staging_bucket, key)
                for key in keys
                if "/bootstrap-actions/" in key and key.endswith("/stderr.gz")
            ]
        texts = [gzip.decompress(one).decode(errors="replace") for one in packed if one]
        return "\n".join(texts)[-_LOG_CHARACTERS:]

    def _log(self, key: str, patience: float, ended: datetime | None, settled: float) -> str:
        """Returns the end of a log as EMR uploads it after the end of its step.

        An upload from before has no reason in it. It is returned, or an empty text, if there is no other in time.
        """
        deadline = time.monotonic() + patience
        while True:
            uploaded = last_modified(self.s3, self.staging_bucket, key)
            # S3 tells whole seconds: an upload of the same second may be from before the end, until none follows it.
            since = ended.replace(microsecond=0) if ended and time.monotonic() > settled else ended
            is_whole = uploaded and (since is None or uploaded >= since)
            if is_whole or time.monotonic() >= deadline:
                packed = read_object(self.s3, self.staging_bucket, key)
                return gzip.decompress(packed).decode(errors="replace")[-_LOG_CHARACTERS:] if packed else ""
            with dg.raise_execution_interrupts():
                time.sleep(1)
