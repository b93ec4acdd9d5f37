"""Databricks on AWS as an engine: a job of the launcher is a one-time run of a workspace, on a cluster of its own."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from fruits_assets.aws import s3_lock
from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.aws.sessions import s3_resource, translate_errors
from fruits_assets.aws.workspace import check_workspace_region, workspace
from fruits_assets.engines.databricks.failures import WORDS, known_cause
from fruits_assets.engines.databricks.policy import policy_of
from fruits_assets.engines.databricks.run_request import run_request
from fruits_assets.engines.databricks.runs import Runs, code_of, message_of, state_of
from fruits_assets.engines.engine import Job, JobRef, JobRequest, JobState, Limit, Report
from fruits_assets.engines.step_failures import Evidence
from fruits_assets.money.account import account_spend
from fruits_assets.money.budget import JOB, check_budget
from fruits_assets.money.dbus import workers
from fruits_assets.money.dbus.prices import read_dbu_prices
from fruits_assets.money.dbus.spend import sizes_of_run, used_eur
from fruits_assets.money.dbus.workers import DbuCostModel
from fruits_assets.money.prices import read_prices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

LOCK = "locks/databricks.json"
# Longer than it takes for the lock of a killed process to become stale.
_LOCK_PATIENCE = s3_lock.STALE_SECONDS + 30.0
_REMEDY = "Make it: fruits deploy --databricks"


class DatabricksEngine:
    """A workspace, as an engine.

    Attributes:
        settings: The platform's settings.
        infrastructure: The outputs of the stack.
        words: How messages name Databricks' things.
        tells_billed: What a run has cost is computed from its times as soon as it is over: Databricks' own table of
            what was billed is hours late.
    """

    words = WORDS
    tells_billed = True

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        client = workspace()
        self.infrastructure = Infrastructure.of_stack(settings.stack, settings.region)
        with translate_errors("open a client of s3"):
            self._s3 = s3_resource(settings.region).get_client()
        self.runs = Runs(client, self.infrastructure.staging_bucket)

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
        """A run waits no longer than its own time limit, in which the start of its cluster is included."""
        return Limit(workers.timeout_minutes(self.settings), "FRUITS_STEP_MINUTES")

    def worst_case_eur(self) -> float:
        """Returns the most that a run may cost."""
        return workers.worst_case_eur(self.settings, read_dbu_prices(self.settings))

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a step, and starts it as a run, after a look at the budget.

        One lock covers both: of two runs of the stack that start together, the second sees the run of the first.
        """
        if not request.environment.init_script:
            raise FruitsError(
                f"The environment in s3://{self.staging_bucket} was made without the script that puts it onto nodes of "
                f"Databricks. {_REMEDY}"
            )
        check_workspace_region(self.runs.client, self.settings.region)
        policy = policy_of(self.runs.client, self.settings.stack)
        if policy is None:
            raise FruitsError(
                f"The workspace has no cluster policy {self.settings.stack} that this token may use. {_REMEDY}, as an "
                "administrator of the workspace, and let those who start runs use the policy."
            )
        worst, size = self.worst_case_eur(), workers.size_of(self.settings)
        job = self._start(request, policy[0], worst)
        report(
            f"run {job.id} is submitted: a cluster of {size.nodes} {size.node_type}, 4 to 6 min until it runs; at most "
            f"{worst:.2f} EUR, for it is ended after {workers.timeout_minutes(self.settings)} minutes"
        )
        return job

    def _start(self, request: JobRequest, policy_id: str, worst: float) -> JobRef:
        prices = read_dbu_prices(self.settings)
        costs = DbuCostModel.of_run(self.settings, prices, f"workspace {self.runs.ref('').place}")
        with s3_lock.held(self._s3, self.staging_bucket, LOCK, _LOCK_PATIENCE) as check_held:
            spend = account_spend(self.settings, read_prices(self.settings), datetime.now(UTC))
            check_budget(spend, worst, self.settings.budget_eur, JOB)
            request.stage(costs)
            asked = run_request(request, self.infrastructure, policy_id)
            check_held()
            return self.runs.submit(asked)

    def state(self, job: JobRef) -> JobState:
        """Returns the state of a run."""
        return state_of(self.runs.describe(job))

    def cancel(self, job: JobRef) -> None:
        """Asks for a run's end; one that is over or ends is left to that."""
        if problem := self.runs.cancel(job):
            state = self.state(job)
            if not state.is_over and state != JobState.ENDING:
                raise FruitsError(f"{job} is not cancelled: {problem}. {WORDS.when_not_cancelled}")

    def evidence(self, job: JobRef, error: Mapping[str, Any] | None, report: Report) -> Evidence:
        """Returns what Databricks tells of a run, and the end of what its task has printed."""
        described = self.runs.describe(job)
        message, place = message_of(described), self.runs.log_place(described)
        minutes = workers.timeout_minutes(self.settings)
        known = None if error else known_cause(code_of(described), message, minutes)
        told, log = ("", "") if known or error else self.runs.output(described)
        note = " Databricks writes it there within five minutes."
        return Evidence(error, log, "\n".join(filter(None, (message, told))), known, place, note, WORDS)

    def billed_eur(self, job: JobRef) -> float | None:
        """Returns what a run has cost at most by its own times, None while it is not over."""
        described = self.runs.describe(job)
        if not state_of(described).is_over:
            return None
        sizes, prices = sizes_of_run(described), read_dbu_prices(self.settings)
        prices = prices.including({size.node_type for size in sizes})
        return used_eur(described, sizes, prices, datetime.now(UTC))

    def links(self, job: JobRef) -> Mapping[str, dg.MetadataValue]:
        """Returns metadata that lead to a run: its page in the workspace, and the logs of its cluster."""
        described = self.runs.describe(job)
        return {
            "databricks_run": dg.MetadataValue.text(job.id),
            "databricks_console": dg.MetadataValue.url(str(described.get("run_page_url", job.place))),
            "log": dg.MetadataValue.text(self.runs.log_place(described)),
        }

    def unfinished_jobs(self) -> list[Job]:
        """Returns the runs of the stack that are not over."""
        return self.runs.unfinished(self.settings.stack)

    def is_waiting_for_work(self) -> bool:
        """Returns False: a job cluster ends with its run."""
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
        """Does nothing: a job cluster ends with its run."""
