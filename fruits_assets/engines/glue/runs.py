"""Runs of the stack's Glue job: found by the step that they run, described, and their logs in CloudWatch."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from botocore.exceptions import ClientError

from fruits_assets.aws.infrastructure import RUN_ARGUMENT
from fruits_assets.aws.sessions import client, error_code, translate_errors
from fruits_assets.engines.engine import JobRef
from fruits_assets.money.dpus.spend import runs_of_job

# Of these the driver's streams are read: what it printed, and what Spark and Glue say.
GROUPS = ("output", "error")
_DRIVER = "-driver"
_LOG_EVENTS = 300
# Seconds between two looks; lines arrive while they are written.
_LOG_WAIT = 2.0
_LOG_CHARACTERS = 20_000


class Runs:
    """The runs of a job.

    Attributes:
        job: The job's name.
        logs: Prefix of its groups of logs.
        service: boto3's client of Glue.
    """

    def __init__(self, job: str, logs: str, region: str) -> None:
        self.job = job
        self.logs = logs
        self.service = client("glue", region)
        self._cloudwatch = client("logs", region)

    def ref(self, run_id: str) -> JobRef:
        """Returns a run as a job of the launcher."""
        return JobRef(self.job, run_id, f"Run {run_id} of the Glue job {self.job}")

    def all(self) -> list[Mapping[str, Any]]:
        """Returns all runs that Glue still knows."""
        with translate_errors(f"list the runs of the Glue job {self.job}"):
            return list(runs_of_job(self.service, self.job))

    def named(self, name: str) -> str | None:
        """Returns the id of the run that was started for a request, None where there is none.

        StartJobRun has no client token; so each run has the name of its request as an argument.
        """
        return next((str(run["Id"]) for run in self.all() if run.get("Arguments", {}).get(RUN_ARGUMENT) == name), None)

    def describe(self, job: JobRef) -> dict[str, Any]:
        """Returns a run as Glue describes it."""
        with translate_errors(f"describe {job}"):
            described: dict[str, Any] = self.service.get_job_run(JobName=job.place, RunId=job.id)["JobRun"]
        return described

    def stop(self, job: JobRef) -> str:
        """Asks for a run's end, and returns why Glue does not end it; nothing where it does."""
        with translate_errors(f"stop {job}"):
            answer = self.service.batch_stop_job_run(JobName=job.place, JobRunIds=[job.id])
        details = [error.get("ErrorDetail", {}) for error in answer.get("Errors", [])]
        return "; ".join(f"{one.get('ErrorCode', '')}: {one.get('ErrorMessage', '')}" for one in details)

    def log(self, job: JobRef, seconds: float) -> str:
        """Returns the ends of the driver's logs, once one of them is there and nothing more comes.

        Args:
            job: The run.
            seconds: How long to wait for them.
        """
        deadline, before = time.monotonic() + seconds, list[str]()
        while True:
            with translate_errors(f"read the logs of {job}"):
                texts = [text[-_LOG_CHARACTERS:] for text in self._texts(job)]
            # A driver that was killed at once has a stream, and nothing in it.
            if (texts and texts == before) or time.monotonic() >= deadline:
                return "\n".join(texts)
            before = texts
            with dg.raise_execution_interrupts():
                time.sleep(_LOG_WAIT)

    def _texts(self, job: JobRef) -> Iterator[str]:
        for group in (f"{self.logs}/{name}" for name in GROUPS):
            for stream in self._streams(group, job.id):
                # Executors have streams of their own.
                if stream == job.id or stream.endswith(_DRIVER):
                    events = self._cloudwatch.get_log_events(
                        logGroupName=group, logStreamName=stream, limit=_LOG_EVENTS, startFromHead=False
                    )["events"]
                    yield "\n".join(event["message"].rstrip("\n") for event in events)

    def _streams(self, group: str, prefix: str) -> list[str]:
        try:
            found = self._cloudwatch.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)
        except ClientError as error:
            # A group that somebody has deleted must not hide why a run failed.
            if error_code(error) != "ResourceNotFoundException":
                raise
            return []
        return [one["logStreamName"] for one in found["logStreams"]]

    def log_place(self, job: JobRef) -> str:
        """Returns where people find the logs: a group of CloudWatch, and the beginning of its streams' names."""
        return f"{self.logs}/{GROUPS[0]}/{job.id}"
