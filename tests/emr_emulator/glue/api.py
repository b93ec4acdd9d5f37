"""The API of Glue's runs: what it checks, and the shapes of its answers; jobs are kept by moto."""

import re
import threading
from collections.abc import Callable
from typing import Any

from moto.glue.models import FakeJob, glue_backends

from tests.emr_emulator.checks import ApiError
from tests.emr_emulator.cluster.world import ACCOUNT, World
from tests.emr_emulator.glue.run import DPUS, OVER, GlueRun
from tests.emr_emulator.glue.shapes import check_shape

# Small, so that whoever reads one page only is found out.
_PAGE = 2
_LEAST_WORKERS = 2
_MOST_ARGUMENT_BYTES = 260_000
TrustProblem = Callable[[str, str], str]


class Glue:
    """Glue in all regions.

    Attributes:
        runs: All runs, by id.
    """

    def __init__(self, world: World, trust_problem: TrustProblem) -> None:
        self.world = world
        self.trust_problem = trust_problem
        self.runs: dict[str, GlueRun] = {}
        self.lock = threading.RLock()

    def call(self, action: str, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answers one request.

        Args:
            action: Such as StartJobRun.
            region: That the client's credentials were scoped to.
            request: Its body.

        Raises:
            ApiError: What AWS would answer with.
        """
        check_shape(action, request)
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower()
        handler: Callable[[str, dict[str, Any]], dict[str, Any]] = getattr(self, f"do_{name}")
        return handler(region, request)

    def job(self, region: str, name: str) -> FakeJob:
        """Returns a job."""
        found: FakeJob | None = glue_backends[ACCOUNT][region].jobs.get(name)
        if found is None:
            raise ApiError("EntityNotFoundException", f"Job {name} not found.")
        return found

    def do_start_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """StartJobRun: what the request does not say is the job's; the same request again starts another run."""
        job = self.job(region, request["JobName"])
        command: Any = job.command
        script = command["ScriptLocation"]
        arguments = {**job.default_arguments, **request.get("Arguments", {}), **(job.non_overridable_arguments or {})}
        asked = {
            "Timeout": job.timeout,
            "WorkerType": job.worker_type,
            "NumberOfWorkers": job.number_of_workers,
            **request,
            "Arguments": {"--scriptLocation": script, **arguments},
        }
        if asked["WorkerType"] not in DPUS:
            raise ApiError("InvalidInputException", f"The emulator has no workers {asked['WorkerType']}.")
        if asked["NumberOfWorkers"] < _LEAST_WORKERS:
            raise ApiError("InvalidInputException", f"Number of workers must be at least {_LEAST_WORKERS}.")
        if sum(len(name) + len(value) for name, value in arguments.items()) > _MOST_ARGUMENT_BYTES:
            raise ApiError("InvalidInputException", "Arguments are larger than 260 KB.")
        if problem := self.trust_problem(region, job.role):
            raise ApiError("InvalidInputException", problem)
        with self.lock:
            most = job.execution_property.get("MaxConcurrentRuns", 1)
            if len([run for run in self._of(region, job.name) if run.state not in OVER]) >= most:
                raise ApiError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {job.name}")
            run = GlueRun(self.world, region, job.name, job.role, {**asked, "Given": request.get("Arguments", {})})
            self.runs[run.id] = run
        threading.Thread(target=run.run, args=(self.world.startup_seconds,), name=run.id, daemon=True).start()
        return {"JobRunId": run.id}

    def do_get_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetJobRun."""
        return {"JobRun": _described(self._find(region, request["JobName"], request["RunId"]))}

    def do_get_job_runs(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetJobRuns: in no order."""
        found = sorted(self._of(region, self.job(region, request["JobName"]).name), key=lambda run: run.id)
        begin = int(request.get("NextToken") or 0)
        answer: dict[str, Any] = {"JobRuns": [_described(run) for run in found[begin : begin + _PAGE]]}
        if begin + _PAGE < len(found):
            answer["NextToken"] = str(begin + _PAGE)
        return answer

    def do_batch_stop_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """BatchStopJobRun: runs that cannot be stopped are errors in an answer that is none."""
        stopped, errors = [], []
        for run_id in request["JobRunIds"]:
            named = {"JobName": request["JobName"], "JobRunId": run_id}
            try:
                run = self._find(region, request["JobName"], run_id)
                if run.state in (*OVER, "STOPPING"):
                    raise ApiError("InvalidInputException", f"JobRun {run_id} is {run.state}, and cannot be stopped.")
                run.stop()
                stopped.append(named)
            except ApiError as error:
                errors.append({**named, "ErrorDetail": {"ErrorCode": error.code, "ErrorMessage": error.message}})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def _of(self, region: str, job: str) -> list[GlueRun]:
        return [run for run in list(self.runs.values()) if run.job == job and run.region == region]

    def _find(self, region: str, job: str, run_id: str) -> GlueRun:
        run = self.runs.get(run_id)
        if run is None or (run.job, run.region) != (job, region):
            raise ApiError("EntityNotFoundException", f"Job Run {run_id} of {job} not found.")
        return run


def _described(run: GlueRun) -> dict[str, Any]:
    asked = run.request
    described: dict[str, Any] = {
        "Id": run.id,
        "Attempt": 0,
        "JobName": run.job,
        "StartedOn": run.created,
        "LastModifiedOn": run.updated,
        "JobRunState": run.state,
        "Arguments": asked["Given"],
        "ExecutionTime": int(run.seconds),
        "Timeout": asked["Timeout"],
        "WorkerType": asked["WorkerType"],
        "NumberOfWorkers": asked["NumberOfWorkers"],
        "MaxCapacity": float(asked["NumberOfWorkers"] * DPUS[asked["WorkerType"]]),
        "ExecutionClass": asked.get("ExecutionClass", "STANDARD"),
        "LogGroupName": run.arguments.get("--custom-logGroup-prefix", "/aws-glue/jobs"),
        "GlueVersion": "5.1",
    }
    if run.ended:
        described["CompletedOn"] = run.ended
        if run.arguments.get("--enable-auto-scaling") == "true":
            described["DPUSeconds"] = run.dpu_seconds
    if run.message:
        described["ErrorMessage"] = run.message
    return described
