"""EMR Serverless as an engine: a job is a job run of the stack's application."""

import gzip
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from fruits_assets.aws import s3_lock
from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.sessions import client, read_object, s3_resource, translate_errors
from fruits_assets.engines.emr_serverless.failures import WORDS, known_cause
from fruits_assets.engines.emr_serverless.job_request import LOGS, job_request
from fruits_assets.engines.engine import Job, JobRef, JobRequest, JobState, Limit, Report, run_of
from fruits_assets.engines.step_failures import Evidence
from fruits_assets.money.account import account_spend
from fruits_assets.money.budget import JOB, check_budget
from fruits_assets.money.jobs import workers
from fruits_assets.money.jobs.prices import read_worker_prices
from fruits_assets.money.jobs.spend import used_eur
from fruits_assets.money.jobs.workers import WorkerCostModel
from fruits_assets.money.prices import read_prices
from fruits_assets.money.spend import ENDED_JOBS
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

LOCK = "locks/serverless.json"
# Longer than it takes for the lock of a killed process to become stale.
_LOCK_PATIENCE = s3_lock.STALE_SECONDS + 30.0
_STATES = {
    "SUBMITTED": JobState.QUEUED,
    "QUEUED": JobState.QUEUED,
    "PENDING": JobState.STARTING,
    "SCHEDULED": JobState.STARTING,
    "RUNNING": JobState.RUNNING,
    "SUCCESS": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "CANCELLING": JobState.ENDING,
    "CANCELLED": JobState.CANCELLED,
}
_UNFINISHED = [state for state in _STATES if state not in ENDED_JOBS]
# Logs come within seconds of a job's end, where the job wrote any.
_LOG_SECONDS = 60.0
_LOG_CHARACTERS = 20_000
_REMEDY = "Make it: fruits deploy --environment-only --serverless"


class ServerlessEngine:
    """The application of a stack, as an engine.

    Attributes:
        settings: The platform's settings.
        infrastructure: The outputs of the stack.
        words: How messages name the service's things.
        tells_billed: The service tells what each job was billed.
        created: Nothing is created for jobs but the jobs themselves.
    """

    words = WORDS
    tells_billed = True
    created: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
        with translate_errors("open a client of s3"):
            self._s3 = s3_resource(settings.region).get_client()
        # Retried as it is: the client token makes StartJobRun idempotent, and CancelJobRun is so by itself.
        self.service = client("emr-serverless", settings.region)

    @property
    def s3(self) -> Any:
        """boto3's client of S3."""
        return self._s3

    @property
    def staging_bucket(self) -> str:
        """The stack's staging bucket."""
        return self.infrastructure.staging_bucket

    @property
    def application(self) -> str:
        """The id of the stack's application."""
        return self.infrastructure.serverless_application

    @property
    def waiting_limit(self) -> Limit:
        """A job waits no longer than it may run."""
        return Limit(self.settings.step_minutes, "FRUITS_STEP_MINUTES")

    def worst_case_eur(self) -> float:
        """Returns the most that a job may cost."""
        return workers.worst_case_eur(self.settings, read_worker_prices(self.settings))

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a step, and starts it as a job, after a look at the budget.

        One lock covers both: of two runs of the stack that start together, the second sees the job of the first.
        """
        if not request.environment.standalone:
            raise FruitsError(
                f"There is no Python environment with its own interpreter in s3://{self.staging_bucket}, which EMR "
                f"Serverless needs. {_REMEDY}"
            )
        prices = read_worker_prices(self.settings)
        costs = WorkerCostModel.of_job(self.settings, prices, f"application {self.application}")
        worst = self.worst_case_eur()
        with s3_lock.held(self._s3, self.staging_bucket, LOCK, _LOCK_PATIENCE) as check_held:
            spend = account_spend(self.settings, read_prices(self.settings), datetime.now(UTC))
            check_budget(spend, worst, self.settings.budget_eur, JOB)
            request.stage(costs)
            check_held()
            with translate_errors("start a job of EMR Serverless"):
                started = self.service.start_job_run(**job_request(request, self.infrastructure, worst))
        report(
            f"job {started['jobRunId']} is submitted: up to {self.settings.max_executors} executors, about 2 min until "
            f"it runs; at most {worst:.2f} EUR, for it is ended after {workers.timeout_minutes(self.settings)} minutes"
        )
        return self._ref(started["jobRunId"])

    def state(self, job: JobRef) -> JobState:
        """Returns the state of a job."""
        return _STATES[self._describe(job)["state"]]

    def cancel(self, job: JobRef) -> None:
        """Asks for a job's end; the service takes that for a job that is over too, and refuses it for some."""
        try:
            with translate_errors(f"cancel {job}"):
                self.service.cancel_job_run(applicationId=job.place, jobRunId=job.id)
        except FruitsError:
            if self.state(job) in (JobState.ENDING, *(state for state in JobState if state.is_over)):
                return
            raise

    def evidence(self, job: JobRef, error: Mapping[str, Any] | None, report: Report) -> Evidence:
        """Returns what the service tells of a job, and the end of its driver's log."""
        described = self._describe(job)
        details = described.get("stateDetails", "")
        known = None if error else known_cause(described["state"], details, workers.timeout_minutes(self.settings))
        log = "" if known or error else self._log(job, report)
        return Evidence(error, log, details, known, self._log_uri(job), "", WORDS)

    def billed_eur(self, job: JobRef) -> float | None:
        """Returns what a job was billed, None while the service does not tell."""
        described = self._describe(job)
        if not described.get("billedResourceUtilization"):
            return None
        return used_eur(described, read_worker_prices(self.settings))

    def links(self, job: JobRef) -> Mapping[str, dg.MetadataValue]:
        """Returns metadata that lead to a job: the console, where Spark's UI is too, and the logs."""
        region = self.settings.region
        home = f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/serverless"
        return {
            "emr_serverless_application": dg.MetadataValue.text(job.place),
            "emr_serverless_job": dg.MetadataValue.text(job.id),
            "emr_serverless_console": dg.MetadataValue.url(f"{home}/applications/{job.place}/jobs/{job.id}"),
            "log": dg.MetadataValue.path(self._log_uri(job)),
        }

    def unfinished_jobs(self) -> list[Job]:
        """Returns the jobs of the application that are not over."""
        with translate_errors(f"list the jobs of {self.application}"):
            pages = self.service.get_paginator("list_job_runs").paginate(
                applicationId=self.application, states=_UNFINISHED
            )
            listed = [job for page in pages for job in page["jobRuns"]]
        return [Job(self._ref(job["id"]), _STATES[job["state"]], run_of(job.get("name", ""))) for job in listed]

    def is_waiting_for_work(self) -> bool:
        """Returns False: an application without a job costs nothing, and stops by itself."""
        return False

    def release(
        self,
        report: Report,
        *,
        is_ours: Callable[[str], bool],
        ignored: Collection[JobRef],
        grace: timedelta = timedelta(0),
        patience: float | None = None,
    ) -> None:
        """Does nothing: an application without a job costs nothing, and stops by itself."""

    def end_unseen(self, created: Sequence[str], why: FruitsError, report: Report) -> None:
        """Does nothing: nothing is created that costs money without a job."""

    def _ref(self, job_id: str) -> JobRef:
        return JobRef(self.application, job_id, f"Job {job_id} of application {self.application}")

    def _describe(self, job: JobRef) -> dict[str, Any]:
        with translate_errors(f"describe {job}"):
            described: dict[str, Any] = self.service.get_job_run(applicationId=job.place, jobRunId=job.id)["jobRun"]
        return described

    def _folder(self, job: JobRef) -> str:
        return f"{LOGS}/applications/{job.place}/jobs/{job.id}/SPARK_DRIVER"

    def _log_uri(self, job: JobRef) -> str:
        return f"s3://{self.staging_bucket}/{self._folder(job)}/"

    def _log(self, job: JobRef, report: Report) -> str:
        """Returns the ends of the driver's logs, once the service has written one of them."""
        report(f"{job} has ended without a reason. Its log is waited for: {self._log_uri(job)}")
        deadline = time.monotonic() + min(_LOG_SECONDS, self.settings.log_minutes * 60.0)
        while True:
            packed = [
                read_object(self._s3, self.staging_bucket, f"{self._folder(job)}/{name}.gz")
                for name in ("stdout", "stderr")
            ]
            texts = [gzip.decompress(one).decode(errors="replace")[-_LOG_CHARACTERS:] for one in packed if one]
            if texts or time.monotonic() >= deadline:
                return "\n".join(texts)
            with dg.raise_execution_interrupts():
                time.sleep(1)
