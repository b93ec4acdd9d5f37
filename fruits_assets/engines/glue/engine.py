"""AWS Glue as an engine: a job of the launcher is a run of the stack's Glue job."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from botocore.exceptions import ClientError

from fruits_assets.aws import s3_lock
from fruits_assets.aws.infrastructure import RUN_ARGUMENT, Infrastructure
from fruits_assets.aws.sessions import (
    NEVER_TWICE,
    call_at_most_once,
    client,
    error_code,
    s3_resource,
    translate_errors,
)
from fruits_assets.engines.engine import Job, JobRef, JobRequest, JobState, Limit, Report, run_of
from fruits_assets.engines.glue.failures import WORDS, known_cause
from fruits_assets.engines.glue.run_request import run_request
from fruits_assets.engines.glue.runs import Runs
from fruits_assets.engines.step_failures import Evidence
from fruits_assets.money.account import account_spend
from fruits_assets.money.budget import JOB, check_budget
from fruits_assets.money.dpus import workers
from fruits_assets.money.dpus.prices import read_dpu_prices
from fruits_assets.money.dpus.workers import DpuCostModel
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

LOCK = "locks/glue.json"
# Longer than it takes for the lock of a killed process to become stale.
_LOCK_PATIENCE = s3_lock.STALE_SECONDS + 30.0
_STATES = {
    "WAITING": JobState.QUEUED,
    "STARTING": JobState.STARTING,
    "RUNNING": JobState.RUNNING,
    "STOPPING": JobState.ENDING,
    "STOPPED": JobState.CANCELLED,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "TIMEOUT": JobState.FAILED,
    "ERROR": JobState.FAILED,
    "EXPIRED": JobState.FAILED,
}
# Seconds between two attempts to start a run of a job that has as many as it may.
_TURN_SECONDS = 15.0
_LOG_SECONDS = 60.0
_REMEDY = "Make it: fruits deploy --environment-only --glue"


class GlueEngine:
    """The Glue job of a stack, as an engine.

    Attributes:
        settings: The platform's settings.
        infrastructure: The outputs of the stack.
        words: How messages name Glue's things.
        tells_billed: Glue tells the DPU-seconds of each run.
        created: Nothing is created for runs but the runs themselves.
    """

    words = WORDS
    tells_billed = True
    created: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
        with translate_errors("open a client of s3"):
            self._s3 = s3_resource(settings.region).get_client()
        self.runs = Runs(self.infrastructure.glue_job, self.infrastructure.glue_logs, settings.region)
        self._starter = client("glue", settings.region, NEVER_TWICE)

    @property
    def s3(self) -> Any:
        """boto3's client of S3."""
        return self._s3

    @property
    def staging_bucket(self) -> str:
        """The stack's staging bucket."""
        return self.infrastructure.staging_bucket

    @property
    def waiting_limit(self) -> Limit:
        """A run waits no longer than it may run."""
        return Limit(self.settings.step_minutes, "FRUITS_STEP_MINUTES")

    def worst_case_eur(self) -> float:
        """Returns the most that a run may cost."""
        return workers.worst_case_eur(self.settings, read_dpu_prices(self.settings))

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a step, and starts it as a run, after a look at the budget.

        Where the job has as many runs as it may, its turn is waited for: Glue refuses one more, and queues runs only
        for the account's own quotas.
        """
        if not request.environment.standalone:
            raise FruitsError(
                f"There is no Python environment with its own interpreter in s3://{self.staging_bucket}, which Glue "
                f"needs. {_REMEDY}"
            )
        deadline, waits = time.monotonic() + self.waiting_limit.minutes * 60, False
        while (run_id := self._start(request)) is None:
            if time.monotonic() > deadline:
                raise FruitsError(
                    f"The Glue job {self.runs.job} has had as many runs as it may for {self.waiting_limit.minutes} "
                    f"minutes ({self.waiting_limit.setting}). Run fewer things at once, or raise the stack's GlueRuns."
                )
            if not waits:
                report(f"the Glue job {self.runs.job} has as many runs as it may (the stack's GlueRuns); waiting")
            waits = True
            with dg.raise_execution_interrupts():
                time.sleep(_TURN_SECONDS)
        size = workers.size_of(self.settings)
        report(
            f"run {run_id} is submitted: up to {size.workers} {size.kind}, a minute or two until it runs; at most "
            f"{self.worst_case_eur():.2f} EUR, for it is ended after {self.settings.step_minutes} minutes"
        )
        return self.runs.ref(run_id)

    def _start(self, request: JobRequest) -> str | None:
        """Starts the run of a request, or finds it; None where the job has as many runs as it may.

        One lock covers all of it: of two processes that send a request, or start runs together, the second sees the
        run of the first.
        """
        costs = DpuCostModel.of_run(self.settings, read_dpu_prices(self.settings), f"Glue job {self.runs.job}")
        with s3_lock.held(self._s3, self.staging_bucket, LOCK, _LOCK_PATIENCE) as check_held:
            if found := self.runs.named(request.name):
                return found
            spend = account_spend(self.settings, read_prices(self.settings), datetime.now(UTC))
            check_budget(spend, self.worst_case_eur(), self.settings.budget_eur, JOB)
            request.stage(costs)
            asked = run_request(request, self.infrastructure)
            check_held()
            with translate_errors(f"start a run of the Glue job {self.runs.job}"):
                try:
                    return call_at_most_once(
                        lambda: str(self._starter.start_job_run(**asked)["JobRunId"]),
                        lambda: self.runs.named(request.name),
                    )
                except ClientError as error:
                    if error_code(error) != "ConcurrentRunsExceededException":
                        raise
                    return None

    def state(self, job: JobRef) -> JobState:
        """Returns the state of a run."""
        return _STATES[self.runs.describe(job)["JobRunState"]]

    def cancel(self, job: JobRef) -> None:
        """Asks for a run's end; one that is over or ends is left to that."""
        if problem := self.runs.stop(job):
            state = self.state(job)
            if not state.is_over and state != JobState.ENDING:
                raise FruitsError(f"{job} is not stopped: {problem}. {WORDS.when_not_cancelled}")

    def evidence(self, job: JobRef, error: Mapping[str, Any] | None, report: Report) -> Evidence:
        """Returns what Glue tells of a run, and the end of its driver's log."""
        described = self.runs.describe(job)
        message = described.get("ErrorMessage", "")
        minutes = described.get("Timeout", self.settings.step_minutes)
        known = None if error else known_cause(described["JobRunState"], message, minutes)
        place, log = self.runs.log_place(job), ""
        if not known and not error:
            report(f"{job} has ended without a reason. Its log is waited for: {place}")
            log = self.runs.log(job, min(_LOG_SECONDS, self.settings.log_minutes * 60.0))
        return Evidence(error, log, message, known, place, "", WORDS)

    def billed_eur(self, job: JobRef) -> float | None:
        """Returns what a run was billed by the time that Glue tells, None while it is not over."""
        described = self.runs.describe(job)
        if not _STATES[described["JobRunState"]].is_over:
            return None
        return workers.used_eur(described, read_dpu_prices(self.settings))

    def links(self, job: JobRef) -> Mapping[str, dg.MetadataValue]:
        """Returns metadata that lead to a run: the console, and the logs."""
        region = self.settings.region
        home = f"https://{region}.console.aws.amazon.com/gluestudio/home?region={region}"
        return {
            "glue_job": dg.MetadataValue.text(job.place),
            "glue_run": dg.MetadataValue.text(job.id),
            "glue_console": dg.MetadataValue.url(f"{home}#/job/{job.place}/run/{job.id}"),
            "log": dg.MetadataValue.text(self.runs.log_place(job)),
        }

    def unfinished_jobs(self) -> list[Job]:
        """Returns the runs of the job that are not over."""
        listed = [(run, _STATES[run["JobRunState"]]) for run in self.runs.all()]
        return [
            Job(self.runs.ref(run["Id"]), state, run_of(run.get("Arguments", {}).get(RUN_ARGUMENT, "")))
            for run, state in listed
            if not state.is_over
        ]

    def is_waiting_for_work(self) -> bool:
        """Returns False: a job without a run costs nothing."""
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
        """Does nothing: a job without a run costs nothing."""

    def end_unseen(self, created: Sequence[str], why: FruitsError, report: Report) -> None:
        """Does nothing: nothing is created that costs money without a job."""
