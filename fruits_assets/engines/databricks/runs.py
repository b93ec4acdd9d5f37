"""Runs of a Databricks workspace: started, described, cancelled and listed by Databricks' own SDK."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fruits_assets.aws.workspace import address, translate_workspace_errors
from fruits_assets.engines.databricks.run_request import logs_of
from fruits_assets.engines.engine import Job, JobRef, JobState, run_of
from fruits_assets.money.dbus.spend import stack_of_run

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_STATES = {
    "QUEUED": JobState.QUEUED,
    "BLOCKED": JobState.QUEUED,
    "WAITING": JobState.QUEUED,
    "PENDING": JobState.STARTING,
    "RUNNING": JobState.RUNNING,
    "TERMINATING": JobState.ENDING,
}
_ENDS = {"SUCCESS": JobState.SUCCEEDED, "USER_CANCELED": JobState.CANCELLED}
_LOG_CHARACTERS = 20_000


def state_of(run: Mapping[str, Any]) -> JobState:
    """Returns the state of a run as GetRun describes it."""
    status = run.get("status", {})
    if status.get("state") != "TERMINATED":
        return _STATES[status["state"]]
    # CANCELED is what Databricks itself ends, such as a run whose time is up.
    return _ENDS.get(code_of(run), JobState.FAILED)


def code_of(run: Mapping[str, Any]) -> str:
    """Returns the code of a run's end; empty before."""
    return str(run.get("status", {}).get("termination_details", {}).get("code", ""))


def message_of(run: Mapping[str, Any]) -> str:
    """Returns what Databricks says of a run's end; empty before."""
    return str(run.get("status", {}).get("termination_details", {}).get("message", ""))


class Runs:
    """The runs of a workspace.

    Attributes:
        client: The workspace.
        bucket: The staging bucket, for the places of logs.
    """

    def __init__(self, client: "WorkspaceClient", bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    def ref(self, run_id: int | str) -> JobRef:
        """Returns a run as a job of the launcher."""
        place = address(self.client)
        return JobRef(place, str(run_id), f"Run {run_id} of the workspace {place}")

    def submit(self, body: Mapping[str, Any]) -> JobRef:
        """Starts a run; a body with the same token gives the run that was started by it before."""
        from databricks.sdk.service.jobs import SubmitTask

        given = {name: value for name, value in body.items() if name != "tasks"}
        with translate_workspace_errors("start a run"):
            tasks = [SubmitTask.from_dict(task) for task in body["tasks"]]
            return self.ref(self.client.jobs.submit(tasks=tasks, **given).run_id)

    def describe(self, job: JobRef) -> dict[str, Any]:
        """Returns a run as Databricks describes it."""
        with translate_workspace_errors(f"describe {job}"):
            return self.client.jobs.get_run(int(job.id)).as_dict()

    def cancel(self, job: JobRef) -> str:
        """Asks for a run's end, and returns why Databricks does not end it; nothing where it does."""
        from databricks.sdk.errors import BadRequest, ResourceConflict

        with translate_workspace_errors(f"cancel {job}"):
            try:
                self.client.jobs.cancel_run(int(job.id))
            except (BadRequest, ResourceConflict) as error:
                return str(error)
        return ""

    def output(self, run: Mapping[str, Any]) -> tuple[str, str]:
        """Returns the error of a run's task, and the ends of its trace and of what it printed; empty where none is."""
        from databricks.sdk.errors import BadRequest, NotFound

        task_runs = [task["run_id"] for task in run.get("tasks", []) if task.get("run_id")]
        if not task_runs:
            return "", ""
        with translate_workspace_errors("read what the run has printed"):
            try:
                told = self.client.jobs.get_run_output(int(task_runs[0]))
            except (BadRequest, NotFound):
                # A run whose cluster never was has none.
                return "", ""
        parts = [(told.logs or "")[-_LOG_CHARACTERS:], (told.error_trace or "")[-_LOG_CHARACTERS:]]
        return told.error or "", "\n".join(part for part in parts if part)

    def unfinished(self, stack: str) -> list[Job]:
        """Returns the runs of a stack that are not over."""
        return [
            Job(self.ref(run["run_id"]), state_of(run), run_of(run.get("run_name", "")))
            for run in self._unfinished(stack)
        ]

    def of_request(self, stack: str, name: str) -> JobRef | None:
        """Returns the run of a stack that a request of that name has started and that is not over, None without one."""
        ids = (run["run_id"] for run in self._unfinished(stack) if run.get("run_name") == name)
        return next((self.ref(run_id) for run_id in ids), None)

    def _unfinished(self, stack: str) -> list[dict[str, Any]]:
        with translate_workspace_errors("list the runs"):
            runs = [run.as_dict() for run in self.client.jobs.list_runs(active_only=True, expand_tasks=True)]
        return [run for run in runs if stack_of_run(run) == stack and not state_of(run).is_over]

    def log_place(self, run: Mapping[str, Any]) -> str:
        """Returns where people find the logs of a run's cluster."""
        return logs_of(run.get("run_name", ""), self.bucket)
