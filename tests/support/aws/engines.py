"""Engines on their emulator, each behind the same few questions, so that one suite holds for all."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import dagster as dg

from fruits_assets.assets import raw_images
from fruits_assets.aws.environment import read_environment
from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.workspace import workspace
from fruits_assets.engines.databricks.policy import put_instance_profile, put_policy
from fruits_assets.engines.engine import Engine, JobRequest
from fruits_assets.engines.registry import LOCAL
from fruits_assets.engines.staging import StepStaging
from fruits_assets.instance.partitions import IMAGE_FOLDERS
from fruits_assets.resources import resources_of
from fruits_assets.settings import Settings, read_settings
from tests.emr_emulator import Emulator
from tests.support.aws.emr_runs import DATA, SMALL, end_clusters, steps, upload, wait_until

OVER = {
    *("COMPLETED", "SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED"),
    *("SUCCEEDED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"),
    *("CANCELED", "TIMEDOUT"),
}
# The states, in the words of each API, of a job that did its work, and of one that was cancelled.
DONE, CANCELLED = ("COMPLETED", "SUCCESS", "SUCCEEDED"), ("CANCELLED", "STOPPED", "CANCELED")
_LOGS_IN_S3 = "s3://fruits-staging-123456789012-eu-west-3/logs/"


@dataclass(frozen=True)
class Bench:
    """An engine to be tried.

    Attributes:
        deployment: Its name in the settings.
        aws: The emulator.
        start, look: The actions of its API that start a job, and that tell its state.
        refusal: How the budget's refusal begins.
        console: The name of the metadata that lead to its console.
        log: How the places of its logs begin.
        console_at: How the links to its console begin.
        service: Who throttles, in messages.
    """

    deployment: str
    aws: Emulator
    start: str
    look: str
    refusal: str
    console: str
    log: str = _LOGS_IN_S3
    console_at: str = "https://eu-west-3.console.aws.amazon.com/"
    service: str = "AWS"

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment for this engine, besides the way to AWS."""
        return self.aws.workspace_environ if self.deployment == "databricks" else {}

    def prepare(self, settings: Settings) -> None:
        """Does what ``fruits deploy`` does outside of the stack for an engine."""
        if self.deployment == "databricks":
            infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
            put_instance_profile(workspace(), infrastructure)
            put_policy(workspace(), settings, infrastructure)

    def settings(self, photos: Path, network_file: Path, **given: Any) -> Settings:
        """Uploads photos, and returns settings for them and a new store."""
        mark = uuid.uuid4().hex[:8]
        upload(self.aws, photos, f"Test/{mark}")
        return self.settings_for(f"s3://{DATA}/Test/{mark}", f"s3://{DATA}/stores/{mark}", network_file, **given)

    def settings_for(self, images: str, store: str, network_file: Path, **given: Any) -> Settings:
        """Returns settings for photos and a store in the bucket, with sizes that this machine has."""
        places: dict[str, Any] = {"images": images, "store": store, "weights": str(network_file)}
        return read_settings(deployment=self.deployment, **{**places, **SMALL, "max_executors": 1, **given})

    def jobs(self) -> list[dict[str, Any]]:
        """Returns the jobs, each with its id, name and state."""
        if self.deployment == "emr":
            return steps(self.aws)
        jobs = self.aws.state()["jobs"]
        return [{"id": job_id, **job} for job_id, job in jobs.items() if job["service"] == self.deployment]

    def state(self, job_id: str) -> str:
        """Returns the state of a job, in the words of its API."""
        return str(next(job for job in self.jobs() if job["id"] == job_id)["state"])

    def running_job(self) -> str:
        """Waits for a job that runs, and returns its id."""
        return str(wait_until(lambda: next((job["id"] for job in self.jobs() if job["state"] == "RUNNING"), None)))

    def created(self) -> int:
        """Returns how many things were made that cost money: clusters, or jobs."""
        return len(self.aws.state()["clusters"]) + len(self.aws.state()["jobs"])

    def processes(self) -> int:
        """Returns how many processes of jobs live."""
        state = self.aws.state()
        return sum(one["processes"] for one in [*state["clusters"].values(), *state["jobs"].values()])

    def logs_elsewhere(self) -> dict[str, bytes]:
        """Returns what jobs have written to CloudWatch, by group and stream; nothing where logs go to S3."""
        if self.log.startswith("s3://"):
            return {}
        cloudwatch, texts = self.aws.client("logs"), {}
        for group in cloudwatch.describe_log_groups(logGroupNamePrefix=self.log)["logGroups"]:
            name = group["logGroupName"]
            for stream in cloudwatch.describe_log_streams(logGroupName=name)["logStreams"]:
                where = {"logGroupName": name, "logStreamName": stream["logStreamName"]}
                events = cloudwatch.get_log_events(**where, startFromHead=True)["events"]
                texts[f"{name}/{stream['logStreamName']}"] = "\n".join(one["message"] for one in events).encode()
        return texts

    def clean(self) -> None:
        """Ends what a test has left."""
        end_clusters(self.aws)
        wait_until(lambda: all(job["state"] in OVER for job in self.jobs()))

    def materialize(
        self, settings: Settings, instance: dg.DagsterInstance, *more_folders: str, folder: str = "Banana"
    ) -> Any:
        """Runs raw_images for a folder, in an instance that may have more of them."""
        instance.add_dynamic_partitions(IMAGE_FOLDERS, [folder, *more_folders])
        return dg.materialize(
            [raw_images],
            instance=instance,
            resources=resources_of(settings),
            partition_key=folder,
            raise_on_error=False,
        )


def empty_request(engine: Engine, settings: Settings, run_id: str = "a-run") -> JobRequest:
    """Returns a request of a step that does nothing, for tests of what happens around a job."""
    bucket = engine.staging_bucket
    staging = StepStaging(engine.s3, bucket, run_id, "a_step", 0)
    document: dict[str, Any] = {"entry_point": "nothing:at_all", "image_folders": []}
    return JobRequest("a_step", run_id, 0, settings, read_environment(engine.s3, bucket), staging, document)


def benches(aws: Emulator) -> dict[str, Bench]:
    """Returns every engine, by its name in the settings."""
    found = [
        Bench("emr", aws, "RunJobFlow", "DescribeStep", "No cluster is created", "emr_console"),
        Bench("emr-serverless", aws, "StartJobRun", "GetJobRun", "No job is started", "emr_serverless_console"),
        Bench("glue", aws, "StartJobRun", "GetJobRun", "No job is started", "glue_console", "/fruits/glue/"),
        Bench(
            "databricks",
            aws,
            "post/jobs/runs/submit",
            "get/jobs/runs/get",
            "No job is started",
            "databricks_console",
            console_at=f"{aws.endpoint}/jobs/runs/",
            service="Databricks",
        ),
    ]
    return {one.deployment: one for one in found}


# All of the settings: one without a bench fails in every test of the suite.
ENGINES = tuple(one for one in get_args(Settings.model_fields["deployment"].annotation) if one != LOCAL)
