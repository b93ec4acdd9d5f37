"""AWS Glue as an engine: a job of the launcher is a run of the stack's Glue job."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
from botocore.exceptions import ClientError

from fruits_assets.aws.infrastructure import RUN_ARGUMENT
from fruits_assets.aws.sessions import (
    NEVER_TWICE,
    call_at_most_once,
    client,
    error_code,
    translate_errors,
)
from fruits_assets.engines.engine import Job, JobRef, JobRequest, JobState, Report, run_of
from fruits_assets.engines.glue.failures import WORDS, known_cause
from fruits_assets.engines.glue.run_request import run_request
from fruits_assets.engines.glue.runs import Runs
from fruits_assets.engines.jobs_of_stack import JobsOfStack
from fruits_assets.engines.step_failures import Evidence
from fruits_assets.money.budget import JOB
from fruits_assets.money.dpus import workers
from fruits_assets.money.dpus.prices import read_dpu_prices
from fruits_assets.money.dpus.workers import DpuCostModel
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

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


class GlueEngine(JobsOfStack):
    """The Glue job of a stack, as an engine.

    Attributes:
        settings: The platform's settings.
        infrastructure: The outputs of the stack.
        words: How messages name Glue's things.
    """

    words = WORDS

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.runs = Runs(self.infrastructure.glue_job, self.infrastructure.glue_logs, settings.region)
        self._starter = client("glue", settings.region, NEVER_TWICE)

    def worst_case_eur(self) -> float:
        """Returns the most that a run may cost."""
        return workers.worst_case_eur(self.settings, read_dpu_prices(self.settings))

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a step, and starts it as a run, after a look at the budget.

        Where the job has as many runs as it may, its turn is waited for: Glue refuses one more, and queues runs only
        for the account's own quotas.
        """
        self.check_interpreter(request, "Glue", "fruits deploy --environment-only --glue")
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

        The account's lock covers all of it: of two processes that send a request, or start runs together, the second
        sees the run of the first.
        """
        costs = DpuCostModel.of_run(self.settings, read_dpu_prices(self.settings), f"Glue job {self.runs.job}")
        with self.locked() as allowed:
            if found := self.runs.named(request.name):
                return found
            allowed.ask(self.worst_case_eur(), JOB)
            request.stage(costs)
            asked = run_request(request, self.infrastructure)
            allowed.check_held()
            with translate_errors(f"start a run of the Glue job {self.runs.job}"):
                try:
                    run_id = call_at_most_once(
                        lambda: str(self._starter.start_job_run(**asked)["JobRunId"]),
                        lambda: self.runs.named(request.name),
                    )
                except ClientError as error:
                    if error_code(error) != "ConcurrentRunsExceededException":
                        raise
                    return None
            allowed.created(run_id)
            return run_id

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
