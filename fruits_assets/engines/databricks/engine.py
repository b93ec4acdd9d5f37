"""Databricks on AWS as an engine: a job of the launcher is a one-time run of a workspace, on a cluster of its own."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from fruits_assets.aws import clock
from fruits_assets.aws.workspace import check_workspace_region, workspace
from fruits_assets.engines.databricks.failures import WORDS, known_cause
from fruits_assets.engines.databricks.policy import policy_of
from fruits_assets.engines.databricks.run_request import run_request
from fruits_assets.engines.databricks.runs import Runs, code_of, message_of, state_of
from fruits_assets.engines.engine import Job, JobRef, JobRequest, JobState, Limit, Report
from fruits_assets.engines.jobs_of_stack import JobsOfStack
from fruits_assets.engines.step_failures import Evidence
from fruits_assets.money.budget import JOB
from fruits_assets.money.dbus import workers
from fruits_assets.money.dbus.prices import read_dbu_prices
from fruits_assets.money.dbus.spend import sizes_of_run, used_eur
from fruits_assets.money.dbus.workers import DbuCostModel
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

_REMEDY = "Make it: fruits deploy --databricks"


class DatabricksEngine(JobsOfStack):
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
        client = workspace()
        super().__init__(settings)
        self.runs = Runs(client, self.infrastructure.staging_bucket)

    @property
    def waiting_limit(self) -> Limit:
        """A run waits no longer than its own time limit, in which the start of its cluster is included."""
        return Limit(workers.timeout_minutes(self.settings), "FRUITS_STEP_MINUTES")

    def worst_case_eur(self) -> float:
        """Returns the most that a run may cost."""
        return workers.worst_case_eur(self.settings, read_dbu_prices(self.settings))

    def submit(self, request: JobRequest, report: Report) -> JobRef:
        """Stages a step, and starts it as a run, after a look at the budget.

        The account's lock covers both: of two processes that send a request, or start runs together, the second sees
        the run of the first.
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
        with self.locked() as allowed:
            if found := self.runs.of_request(self.settings.stack, request.name):
                return found
            allowed.ask(worst, JOB)
            request.stage(costs)
            asked = run_request(request, self.infrastructure, policy_id)
            allowed.check_held()
            # No note of it: deployments that count runs of the workspace find it there, and others would count it as
            # running for as long as notes last.
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
        return used_eur(described, sizes, prices, clock.now())

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
