"""What engines have in common that run each job on a thing of the stack, which is free without a job."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.sessions import s3_resource, translate_errors
from fruits_assets.engines.engine import JobRef, JobRequest, Limit, Report
from fruits_assets.money.allowance import Allowance, allowance
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError


class JobsOfStack:
    """The part of an engine that does not depend on its service.

    Attributes:
        settings: The platform's settings.
        infrastructure: The outputs of the stack.
        tells_billed: The service tells what each job was billed.
        created: Nothing is created for jobs but the jobs themselves.
    """

    tells_billed = True
    created: Sequence[str] = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
        with translate_errors("open a client of s3"):
            self._s3 = s3_resource(settings.region).get_client()

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
        """A job waits no longer than it may run."""
        return Limit(self.settings.step_minutes, "FRUITS_STEP_MINUTES")

    def locked(self) -> AbstractContextManager[Allowance]:
        """Returns the account's lock, under which the same job is looked for, and a new one started."""
        return allowance(self.settings, self._s3, self.infrastructure.lock_bucket)

    def check_interpreter(self, request: JobRequest, service: str, command: str) -> None:
        """Raises a FruitsError where the environment has no interpreter of its own.

        Args:
            request: What is to run.
            service: The name of the service, for people.
            command: What makes such an environment.
        """
        if not request.environment.standalone:
            raise FruitsError(
                f"There is no Python environment with its own interpreter in s3://{self.staging_bucket}, which "
                f"{service} needs. Make it: {command}"
            )

    def is_waiting_for_work(self) -> bool:
        """Returns False: nothing costs money without a job."""
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
        """Does nothing: nothing costs money without a job."""

    def end_unseen(self, created: Sequence[str], why: FruitsError, report: Report) -> None:
        """Does nothing: nothing is created that costs money without a job."""
