"""The API of a workspace: what it checks, and the shapes of its answers."""

import json
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from fruits_assets.aws.infrastructure import Infrastructure
from fruits_assets.engines.databricks.policy import definition_of
from fruits_assets.settings import read_settings
from tests.emr_emulator.checks import ApiError
from tests.emr_emulator.client import TOKEN
from tests.emr_emulator.cluster.world import World
from tests.emr_emulator.databricks.policies import problem
from tests.emr_emulator.databricks.run import OVER, DatabricksRun

SERVICE, PATHS = "databricks", ("/api/2.", "/.well-known/databricks-config")
# Small, so that whoever reads one page only is found out.
_PAGE = 2
_LONGEST_TOKEN = 64


class Databricks:
    """A workspace.

    Attributes:
        runs: All runs, by id.
        region: Where it lies.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.region = "eu-west-3"
        self.runs: dict[int, DatabricksRun] = {}
        self.policies: dict[str, dict[str, str]] = {}
        self.profiles: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.lock = threading.RLock()

    def prepare(self, stack: str) -> None:
        """Has what ``fruits deploy --databricks`` makes."""
        settings = read_settings(stack=stack, region=self.region)
        infrastructure = Infrastructure(**{**dict.fromkeys(Infrastructure.__annotations__, ""), **self._outputs(stack)})
        definition = json.dumps(definition_of(settings, infrastructure))
        self.do_post_policies_clusters_create({"name": stack, "definition": definition})
        self.profiles[infrastructure.databricks_profile_arn] = infrastructure.databricks_role_arn

    def _outputs(self, stack: str) -> dict[str, str]:
        cloudformation: Any = self.world.client("cloudformation", self.region)
        outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        names = {
            "".join(part.capitalize() for part in name.split("_")): name for name in Infrastructure.__annotations__
        }
        return {names[one["OutputKey"]]: one["OutputValue"] for one in outputs if one["OutputKey"] in names}

    def call(self, action: str, environ: dict[str, Any]) -> dict[str, Any]:
        """Answers one request.

        Args:
            action: As ``action_of`` names it.
            environ: Of WSGI.

        Raises:
            ApiError: What the service would answer with.
        """
        if environ.get("HTTP_AUTHORIZATION") != f"Bearer {TOKEN}":
            raise ApiError("UNAUTHENTICATED", "Credential was not sent or was of an unsupported type.", 401)
        handler: Callable[[dict[str, Any]], dict[str, Any]] | None = getattr(
            self, "do_" + re.sub(r"[/-]", "_", action), None
        )
        if handler is None:
            raise ApiError("ENDPOINT_NOT_FOUND", f"No API found for '{action}'", 404)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length) or b"{}")
        return handler({**dict(parse_qsl(environ.get("QUERY_STRING", ""))), **body})

    def do_post_jobs_runs_submit(self, request: dict[str, Any]) -> dict[str, Any]:
        """runs/submit: the same idempotency token again gives the run that it has given before."""
        token = str(request.get("idempotency_token", ""))
        if len(token) > _LONGEST_TOKEN:
            raise _invalid(f"idempotency_token has more than {_LONGEST_TOKEN} characters")
        with self.lock:
            if token and token in self.tokens:
                return {"run_id": self.tokens[token]}
            self._check(request)
            run = DatabricksRun(self.world, self.region, request)
            self.runs[run.id] = run
            if token:
                self.tokens[token] = run.id
        startup = self.world.startup_seconds
        threading.Thread(target=run.run, args=(startup,), name=str(run.id), daemon=True).start()
        return {"run_id": run.id}

    def _check(self, request: dict[str, Any]) -> None:
        if len(request.get("tasks", [])) != 1:
            raise _invalid("The emulator runs one task, no more and no fewer.")
        # Imported here: it takes seconds, and few emulators get such a run.
        from databricks.sdk.service.jobs import SubmitTask

        (task,) = request["tasks"]
        # What the SDK's own model does not know is lost on the way through it.
        if SubmitTask.from_dict(task).as_dict() != task:
            raise _invalid(f"The task has fields that Databricks does not know: {json.dumps(task)}")
        if "spark_python_task" not in task:
            raise _invalid("Only tasks of Python files are allowed; spark_submit_task is given to nobody anew.")
        cluster = task["new_cluster"]
        policy = self.policies.get(cluster.get("policy_id", ""))
        if policy is None:
            raise ApiError("PERMISSION_DENIED", "You are not authorized to create clusters without a policy.", 403)
        if wrong := problem(json.loads(policy["definition"]), cluster):
            raise _invalid(f"Cluster validation error: {wrong}")
        profile = cluster.get("aws_attributes", {}).get("instance_profile_arn", "")
        if profile not in self.profiles:
            raise _invalid(f"Instance profile {profile} is not registered in this workspace.")

    def do_get_jobs_runs_get(self, request: dict[str, Any]) -> dict[str, Any]:
        """runs/get."""
        return self._described(self._find(request["run_id"]))

    def do_get_jobs_runs_get_output(self, request: dict[str, Any]) -> dict[str, Any]:
        """runs/get-output: of the run of a task, not of the run that has the task."""
        wanted = int(request["run_id"])
        run = next((one for one in self.runs.values() if one.task_id == wanted), None)
        if run is None:
            raise _invalid("Retrieving the output of runs with multiple tasks is not supported: give a task's run.")
        told = {"error": run.error, "error_trace": run.trace, "logs": run.logs}
        return {"metadata": self._described(run), **{name: value for name, value in told.items() if value}}

    def do_post_jobs_runs_cancel(self, request: dict[str, Any]) -> dict[str, Any]:
        """runs/cancel: also of a run that is over, which stays as it is."""
        self._find(request["run_id"]).cancel()
        return {}

    def do_get_jobs_runs_list(self, request: dict[str, Any]) -> dict[str, Any]:
        """runs/list: tasks are told to whoever asks for them."""
        active, since = request.get("active_only") == "true", int(request.get("start_time_from", 0))
        found = [run for run in list(self.runs.values()) if run.created * 1000 >= since]
        found = sorted([run for run in found if not active or run.state != OVER], key=lambda run: -run.created)
        begin = int(request.get("page_token") or 0)
        runs = [self._described(run) for run in found[begin : begin + _PAGE]]
        if request.get("expand_tasks") != "true":
            runs = [{name: value for name, value in run.items() if name != "tasks"} for run in runs]
        more = {"next_page_token": str(begin + _PAGE)} if begin + _PAGE < len(found) else {}
        return {"runs": runs, **more} if runs else {}

    def do_get_clusters_list_zones(self, request: dict[str, Any]) -> dict[str, Any]:
        """clusters/list-zones."""
        return {"zones": [f"{self.region}{zone}" for zone in "abc"], "default_zone": f"{self.region}a"}

    def do_get_policies_clusters_list(self, request: dict[str, Any]) -> dict[str, Any]:
        """policies/clusters/list."""
        return {"policies": list(self.policies.values())}

    def do_post_policies_clusters_create(self, request: dict[str, Any]) -> dict[str, Any]:
        """policies/clusters/create: names are unique."""
        if any(one["name"] == request["name"] for one in self.policies.values()):
            raise _invalid(f"Policy name {request['name']} is already used.")
        policy_id = f"{len(self.policies) + 1:016X}"
        self.policies[policy_id] = {"policy_id": policy_id, **request}
        return {"policy_id": policy_id}

    def do_post_policies_clusters_edit(self, request: dict[str, Any]) -> dict[str, Any]:
        """policies/clusters/edit."""
        if request["policy_id"] not in self.policies:
            raise ApiError("RESOURCE_DOES_NOT_EXIST", f"Policy {request['policy_id']} does not exist.", 404)
        self.policies[request["policy_id"]] = request
        return {}

    def do_get_instance_profiles_list(self, request: dict[str, Any]) -> dict[str, Any]:
        """instance-profiles/list."""
        return {
            "instance_profiles": [
                {"instance_profile_arn": arn, "iam_role_arn": role} for arn, role in self.profiles.items()
            ]
        }

    def do_post_instance_profiles_add(self, request: dict[str, Any]) -> dict[str, Any]:
        """instance-profiles/add."""
        self.profiles[request["instance_profile_arn"]] = request.get("iam_role_arn", "")
        return {}

    def do_get_preview_scim_v2_Me(self, request: dict[str, Any]) -> dict[str, Any]:
        """The user whom the token belongs to."""
        return {"id": "1", "userName": "somebody@example.org"}

    def _find(self, run_id: Any) -> DatabricksRun:
        run = self.runs.get(int(run_id))
        if run is None:
            raise _invalid(f"Run {run_id} does not exist.")
        return run

    def _described(self, run: DatabricksRun) -> dict[str, Any]:
        status: dict[str, Any] = {"state": run.state}
        if run.state == OVER:
            status["termination_details"] = {"code": run.code, "message": run.message, "type": "CLIENT_ERROR"}
        task = {
            **run.task,
            "run_id": run.task_id,
            "cluster_instance": {"cluster_id": run.cluster_id},
            "status": status,
        }
        return {
            "job_id": run.id,
            "run_id": run.id,
            "run_name": run.request.get("run_name", "Untitled"),
            "run_type": "SUBMIT_RUN",
            "run_page_url": f"{self.world.endpoint}/jobs/runs/{run.id}",
            "start_time": int(run.created * 1000),
            "end_time": int((run.ended or 0) * 1000),
            "status": status,
            "tasks": [task],
        }


def action_of(environ: dict[str, Any]) -> str:
    """Returns what a request is for, such as ``post/jobs/runs/submit``."""
    path = re.sub(r"^/api/2\.\d/", "", environ["PATH_INFO"])
    return f"{environ['REQUEST_METHOD'].lower()}/{path.strip('/')}"


def _invalid(message: str) -> ApiError:
    return ApiError("INVALID_PARAMETER_VALUE", message, 400)
