"""The API of EMR Serverless: what it checks, and the shapes of its answers; applications are kept by moto."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.emrserverless.models import Application, emrserverless_backends
from moto.emrserverless.utils import random_job_id

from tests.emr_emulator.checks import ApiError, invalid
from tests.emr_emulator.cluster.world import ACCOUNT, World
from tests.emr_emulator.serverless.command import read_plan
from tests.emr_emulator.serverless.job import OVER, JobRun

# Small, so that whoever reads one page only is found out.
_PAGE = 2
_LEAST_TIMEOUT_MINUTES = 5
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
# vCPUs, and the least and the most gigabytes for them.
_SIZES = {1: (2, 8), 2: (4, 16), 4: (8, 30), 8: (16, 60), 16: (32, 120)}
TrustProblem = Callable[[str, str], str]


def unknown(what: str, identity: str) -> ApiError:
    """Returns the error for an id that is not known."""
    return ApiError("ResourceNotFoundException", f"{what} {identity} does not exist", 404)


class EmrServerless:
    """EMR Serverless in all regions.

    Attributes:
        jobs: All job runs, by id.
        billing_seconds: How long after its end a job's bill is there.
    """

    def __init__(self, world: World, trust_problem: TrustProblem) -> None:
        self.world = world
        self.trust_problem = trust_problem
        self.jobs: dict[str, JobRun] = {}
        self.tokens: dict[tuple[str, str], tuple[str, str]] = {}
        self.lock = threading.RLock()
        self.calls: Counter[str] = Counter()
        self.billing_seconds = 0.0

    def call(self, action: str, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answers one request.

        Args:
            action: Such as StartJobRun.
            region: That the client's credentials were scoped to.
            request: Its path, query and body in one.

        Raises:
            ApiError: What AWS would answer with.
        """
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", action).lower()
        handler: Callable[[str, dict[str, Any]], dict[str, Any] | None] | None = getattr(self, f"do_{name}", None)
        if handler is None:
            raise ApiError("UnknownOperationException", f"The emulator has no {action} of EMR Serverless.", 404)
        return handler(region, request) or {}

    # Applications

    def application(self, region: str, identity: str) -> Application:
        """Returns an application."""
        found: Application | None = emrserverless_backends[ACCOUNT][region].applications.get(identity)
        if found is None:
            raise unknown("Application", identity)
        return found

    def do_list_applications(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """ListApplications."""
        found = [_described(one) for one in emrserverless_backends[ACCOUNT][region].applications.values()]
        return _page([{**one, "id": one["applicationId"]} for one in found], "applications", request)

    def do_get_application(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetApplication."""
        return {"application": _described(self.application(region, request["applicationId"]))}

    def do_start_application(self, region: str, request: dict[str, Any]) -> None:
        """StartApplication."""
        self.application(region, request["applicationId"]).state = "STARTED"

    def do_stop_application(self, region: str, request: dict[str, Any]) -> None:
        """StopApplication."""
        application = self.application(region, request["applicationId"])
        if self._living(application.id):
            raise invalid("Application has running jobs and cannot be stopped.")
        application.state = "STOPPED"

    # Job runs

    def do_start_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """StartJobRun: a repeated token gives the same job, unless anything else of the request has changed."""
        application = self.application(region, request["applicationId"])
        self._check(region, request)
        token, content = (application.id, request["clientToken"]), json.dumps(request, sort_keys=True)
        with self.lock:
            if token in self.tokens:
                identity, before = self.tokens[token]
                if before != content:
                    raise ApiError("ConflictException", "The client token was used for another request.", 409)
                return _started(self.jobs[identity])
            job = JobRun(self.world, region, random_job_id(), application.id, request)
            self.jobs[job.id], self.tokens[token] = job, (job.id, content)
        if problem := self._late_problem(application, job):
            job.become("FAILED", problem)
            return _started(job)
        startup = self.world.startup_seconds * (1 if application.state == "STARTED" else 2)
        application.state = "STARTED"
        threading.Thread(target=job.run, args=(startup,), name=job.id, daemon=True).start()
        return _started(job)

    def _check(self, region: str, request: dict[str, Any]) -> None:
        if not _TOKEN.fullmatch(str(request.get("clientToken", ""))):
            raise invalid("Value at 'clientToken' failed to satisfy constraint.")
        if 0 < int(request.get("executionTimeoutMinutes", 720)) < _LEAST_TIMEOUT_MINUTES:
            raise invalid("RunTimeout must be at least 5 minutes.")
        plan = read_plan(request)
        for name, (vcpus, gigabytes) in {"driver": plan.driver, "executor": plan.executor}.items():
            least, most = _SIZES.get(vcpus, (0, -1))
            if not least <= gigabytes <= most:
                raise invalid(f"Invalid worker configuration: {name} of {vcpus} vCPU and {gigabytes} GB.")
        if problem := self.trust_problem(region, str(request["executionRoleArn"])):
            raise invalid(problem)

    def _late_problem(self, application: Application, job: JobRun) -> str:
        """Returns why a job that was accepted cannot run, or nothing."""
        plan = read_plan(job.request)
        most: Any = application.maximum_capacity or {}
        others = [one for one in self._living(application.id) if one is not job]
        for name, position in (("cpu", 0), ("memory", 1)):
            limit = float(str(most.get(name, "1e9")).split()[0])
            taken = sum(_taken(one, position) for one in others)
            if taken + plan.driver[position] + plan.executor[position] > limit:
                return (
                    "ApplicationMaxCapacityExceededException: Worker could not be allocated as the application has "
                    f"exceeded maximumCapacity settings: [{name}: {most[name]}]"
                )
        return ""

    def _living(self, application: str) -> list[JobRun]:
        return [job for job in self.jobs.values() if job.application == application and job.state not in OVER]

    def find(self, request: dict[str, Any]) -> JobRun:
        """Returns the job run that a request names."""
        job = self.jobs.get(str(request["jobRunId"]))
        if job is None or job.application != request["applicationId"]:
            raise unknown("Job run", request["jobRunId"])
        return job

    def do_get_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetJobRun."""
        job = self.find(request)
        with job.lock:
            over = job.state in OVER
            described = {
                **_summary(job),
                "jobRunId": job.id,
                "jobDriver": job.request["jobDriver"],
                "configurationOverrides": job.request.get("configurationOverrides", {}),
                "tags": job.request.get("tags", {}),
                "executionTimeoutMinutes": job.request.get("executionTimeoutMinutes", 720),
            }
            del described["id"]
            if job.started:
                described["startedAt"] = job.started
            if over:
                described["endedAt"] = job.ended
                described["totalExecutionDurationSeconds"] = int(job.seconds)
                described["totalResourceUtilization"] = job.used()
            if over and time.time() - (job.ended or 0) >= self.billing_seconds:
                described["billedResourceUtilization"] = job.used()
        return {"jobRun": described}

    def do_list_job_runs(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """ListJobRuns."""
        states = request.get("states") or []
        states = [states] if isinstance(states, str) else states
        after = datetime.fromisoformat(request["createdAtAfter"]).timestamp() if "createdAtAfter" in request else 0.0
        found = [
            _summary(job)
            for job in self.jobs.values()
            if job.application == request["applicationId"]
            and (not states or job.state in states)
            and job.created > after
        ]
        return _page(found, "jobRuns", request)

    def do_cancel_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """CancelJobRun."""
        job = self.find(request)
        if job.state in OVER:
            raise invalid(f"Job run {job.id} is in a terminal state: {job.state}")
        job.cancel()
        return {"applicationId": job.application, "jobRunId": job.id}

    def do_get_dashboard_for_job_run(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        """GetDashboardForJobRun."""
        return {"url": f"https://{self.find(request).id}.emrappui-prod.{region}.amazonaws.com/"}


def _taken(job: JobRun, position: int) -> int:
    plan = read_plan(job.request)
    return plan.driver[position] + max(1, job.executors) * plan.executor[position]


def _started(job: JobRun) -> dict[str, Any]:
    return {"applicationId": job.application, "jobRunId": job.id, "arn": _arn(job)}


def _arn(job: JobRun) -> str:
    return f"arn:aws:emr-serverless:{job.region}:{ACCOUNT}:/applications/{job.application}/jobruns/{job.id}"


def _described(application: Application) -> dict[str, Any]:
    described = {
        "applicationId": application.id,
        "name": application.name,
        "arn": application.arn,
        "releaseLabel": application.release_label,
        "type": application.type,
        "state": application.state,
        "stateDetails": application.state_details,
        "initialCapacity": application.initial_capacity,
        "maximumCapacity": application.maximum_capacity,
        "createdAt": application.created_at.timestamp(),
        "updatedAt": application.updated_at.timestamp(),
        "tags": application.tags,
        "autoStartConfiguration": application.auto_start_configuration,
        "autoStopConfiguration": application.auto_stop_configuration,
    }
    return {name: value for name, value in described.items() if value is not None}


def _summary(job: JobRun) -> dict[str, Any]:
    return {
        "applicationId": job.application,
        "id": job.id,
        "name": job.request.get("name", ""),
        "arn": _arn(job),
        "createdBy": f"arn:aws:iam::{ACCOUNT}:root",
        "createdAt": job.created,
        "updatedAt": job.updated,
        "executionRole": job.request["executionRoleArn"],
        "state": job.state,
        "stateDetails": job.details,
        "releaseLabel": "emr-7.13.0",
        "type": "SPARK",
    }


def _page(found: list[dict[str, Any]], name: str, request: dict[str, Any]) -> dict[str, Any]:
    begin = int(request.get("nextToken") or 0)
    answer: dict[str, Any] = {name: found[begin : begin + _PAGE]}
    if begin + _PAGE < len(found):
        answer["nextToken"] = str(begin + _PAGE)
    return answer
