"""The contract between the step launcher and the places where steps run: what an engine does with a job."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from fruits_assets.aws.environment import Environment
from fruits_assets.engines.staging import StepStaging
from fruits_assets.engines.step_failures import Evidence, Words
from fruits_assets.money.costs import COST_VARIABLE, CostModel
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

if TYPE_CHECKING:
    # The commands that only look at jobs do without it: it takes seconds to import.
    import dagster as dg

Report = Callable[[str], None]


class JobState(Enum):
    """The state of a job, in terms that all engines share.

    A job that is LOST has no end of its own: what it ran on is gone.
    """

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_over(self) -> bool:
        """Whether the state does not change any more."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.LOST)


@dataclass(frozen=True)
class JobRef:
    """A job that an engine has accepted.

    Attributes:
        place: What it runs on, in the engine's terms.
        id: Its id there.
        name: How messages name it.
    """

    place: str
    id: str
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name or f"job {self.id} of {self.place}"


@dataclass(frozen=True)
class Job:
    """A job as an engine lists it.

    Attributes:
        ref: The job.
        state: Its state.
        run_id: The id of the Dagster run that it belongs to, None for a job that this platform did not start.
    """

    ref: JobRef
    state: JobState
    run_id: str | None


@dataclass(frozen=True)
class Limit:
    """A number of minutes, and the setting that it comes from."""

    minutes: int
    setting: str


@dataclass(frozen=True)
class JobRequest:
    """An attempt of a step, to be sent to an engine.

    Attributes:
        step_key: The step's key in its run.
        run_id: The id of its Dagster run.
        attempt: Number of attempts before.
        settings: The platform's settings, which the step gets as environment variables.
        environment: The Python environment that it needs.
        staging: The files that it exchanges with the launcher.
        document: What describes the step (``remote.describe_step``).
    """

    step_key: str
    run_id: str
    attempt: int
    settings: Settings
    environment: Environment
    staging: StepStaging
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name at the engine."""
        return job_name(self.step_key, self.run_id, self.attempt)

    def stage(self, costs: CostModel) -> None:
        """Sends the document, the code and the main script.

        Args:
            costs: What the step's seconds cost there.
        """
        variables = {**self.settings.as_environment(), COST_VARIABLE: costs.as_variable()}
        self.staging.send({**self.document, "python": self.environment.python, "environment": variables})


def job_name(step_key: str, run_id: str, attempt: int) -> str:
    """Returns a job's name, which contains the id of its run."""
    return f"{step_key} run {run_id} attempt {attempt + 1}"


def run_of(name: str) -> str | None:
    """Returns the id of the run in a job's name, None for the name of a job that this platform did not start."""
    words = name.split()
    return words[2] if len(words) >= 3 and words[1] == "run" else None


class Engine(Protocol):
    """A place where steps run. All its methods raise a FruitsError where the service refuses or cannot be reached."""

    @property
    def s3(self) -> Any:
        """boto3's client of S3, for staging."""

    @property
    def staging_bucket(self) -> str:
        """The bucket by which steps and launcher exchange files."""

    @property
    def words(self) -> Words:
        """How messages name the engine's things."""

    @property
    def tells_billed(self) -> bool:
        """Whether the service tells what it has billed for a single job."""

    @property
    def waiting_limit(self) -> Limit:
        """How long a job may wait for its turn."""

    @property
    def created(self) -> Sequence[str]:
        """What this engine has created for jobs and has not ended: it costs money also without a job."""

    def worst_case_eur(self) -> float:
        """Returns the most that the next job, or what is created for it, may cost."""

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a request and starts it, after a look at the budget; the same request again gives the same job.

        Args:
            request: What to run.
            report: Takes progress messages, a line at a time.
        """

    def state(self, job: JobRef) -> JobState:
        """Returns the state of a job."""

    def cancel(self, job: JobRef) -> None:
        """Asks for a job's end; does nothing for one that is over or is being cancelled."""

    def evidence(self, job: JobRef, error: Mapping[str, Any] | None, report: Report) -> Evidence:
        """Returns what is known about a job that is over and did not succeed.

        Args:
            job: The job.
            error: The error that the step itself wrote, None if it wrote none.
            report: Takes progress messages; logs may be waited for.
        """

    def billed_eur(self, job: JobRef) -> float | None:
        """Returns what a job was billed, None while that is not known."""

    def links(self, job: JobRef) -> "Mapping[str, dg.MetadataValue]":
        """Returns metadata that lead to a job: console, Spark's history, logs."""

    def unfinished_jobs(self) -> list[Job]:
        """Returns the jobs of this stack that are not over, whoever started them."""

    def is_waiting_for_work(self) -> bool:
        """Returns whether something is there that ``release`` might end, busy or not."""

    def release(
        self,
        report: Report,
        *,
        is_ours: Callable[[str], bool],
        ignored: Collection[JobRef],
        grace: timedelta = timedelta(0),
        patience: float | None = None,
    ) -> None:
        """Ends what costs money without a job; called when no run of this instance needs it.

        Args:
            report: Takes progress messages, a line at a time.
            is_ours: Returns whether the run of an id belongs to this Dagster instance.
            ignored: Jobs that have sent their last event, or are being cancelled.
            grace: How long something may have been idle.
            patience: Seconds to wait for other processes; None for as long as it takes.
        """

    def end_unseen(self, created: Sequence[str], why: FruitsError, report: Report) -> None:
        """Ends what was created, without a look at what it does; called when no run of this instance needs it.

        Args:
            created: What to end, as ``created`` names it.
            why: Why it cannot be looked at.
            report: Takes progress messages, a line at a time.
        """
