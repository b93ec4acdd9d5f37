"""One WSGI application: EMR, Glue, Databricks and prices of our own, the control API, and moto for all else."""

import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.emr_emulator import processes
from tests.emr_emulator.api import ElasticMapReduce
from tests.emr_emulator.checks import ApiError
from tests.emr_emulator.cluster.life import Cluster
from tests.emr_emulator.cluster.world import ENDED, World
from tests.emr_emulator.databricks.api import PATHS as OF_DATABRICKS
from tests.emr_emulator.databricks.api import SERVICE as DATABRICKS
from tests.emr_emulator.databricks.api import Databricks, action_of
from tests.emr_emulator.glue.api import Glue
from tests.emr_emulator.glue.requests import OWN as OF_GLUE
from tests.emr_emulator.glue.requests import SERVICE as GLUE
from tests.emr_emulator.glue.requests import TARGET
from tests.emr_emulator.iam import simulation
from tests.emr_emulator.iam.authorization import Authorization
from tests.emr_emulator.iam.calls import Call, read_call
from tests.emr_emulator.prices import get_products
from tests.emr_emulator.quotas import get_service_quota
from tests.emr_emulator.scheduler import Scheduler
from tests.emr_emulator.serverless.api import EmrServerless
from tests.emr_emulator.serverless.requests import SERVICE as SERVERLESS
from tests.emr_emulator.stack import CHANGES, complete_stacks

log = logging.getLogger("emr_emulator")

EMR, PRICES, CONTROL = "ElasticMapReduce.", "AWSPriceListService.", "/emulator/"
QUOTA = "ServiceQuotasV20190624.GetServiceQuota"
# Security configurations stay moto's: CloudFormation makes them there.
MOTO_EMR = {"CreateSecurityConfiguration", "DescribeSecurityConfiguration", "DeleteSecurityConfiguration"}
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass
class Fault:
    """Calls of an action that fail with throttling."""

    left: int


class Application:
    """The emulator's answers to HTTP."""

    def __init__(self, world: World) -> None:
        self.world = world
        simulation.add_to_moto()
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.authorization = Authorization(world.root_key)
        self.emr = ElasticMapReduce(world, self.authorization.launch_problem)
        self.serverless = EmrServerless(world, self.authorization.trust_problem)
        self.glue = Glue(world, partial(self.authorization.trust_problem, service=GLUE, resource="job/a"))
        self.databricks = Databricks(world)
        self.scheduler = Scheduler(world, self.emr)
        self.scheduler.start()
        self.throttled: dict[str, Fault] = {}
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        if environ["PATH_INFO"].startswith(CONTROL):
            return self._control(environ, start_response)
        if environ["PATH_INFO"].startswith(OF_DATABRICKS):
            return self._databricks(environ, start_response)
        call = read_call(environ)
        try:
            self.emr.calls[call.name] += 1
            self._throttle(call)
            self.authorization.check(call, self.emr)
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            if target.startswith(EMR) and call.action not in MOTO_EMR:
                answer = self.emr.call(call.action, call.region, call.body)
                return _json(start_response, 200, answer)
            if call.service == SERVERLESS:
                return _json(start_response, 200, self.serverless.call(call.action, call.region, call.body))
            if target.startswith(TARGET) and call.action in OF_GLUE:
                return _json(start_response, 200, self.glue.call(call.action, call.region, call.body))
            if target.startswith(PRICES):
                return _json(start_response, 200, get_products(call.body))
            if target == QUOTA:
                return _json(start_response, 200, get_service_quota(call.body))
        except ApiError as error:
            log.info("%s: %s: %s", call.name, error.code, error.message)
            return _refuse(start_response, call, error)
        except Exception as error:
            log.exception("%s failed", call.name)
            return _refuse(start_response, call, ApiError("InternalServerException", repr(error), 500))
        answer_of_moto: Iterable[bytes] = self.moto(environ, start_response)
        if call.service == "cloudformation" and call.action in CHANGES:
            complete_stacks(self.authorization, call.region)
        return answer_of_moto

    def _databricks(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        action = action_of(environ)
        self.emr.calls[f"{DATABRICKS}:{action}"] += 1
        try:
            if self._has_fault(action):
                raise ApiError("REQUEST_LIMIT_EXCEEDED", "Too many requests", 429)
            return _json(start_response, 200, self.databricks.call(action, environ))
        except ApiError as error:
            log.info("%s: %s: %s", action, error.code, error.message)
            return _json(start_response, error.status, {"error_code": error.code, "message": error.message})
        except Exception as error:
            log.exception("%s failed", action)
            return _json(start_response, 500, {"error_code": "INTERNAL_ERROR", "message": repr(error)})

    def _has_fault(self, *names: str) -> bool:
        """Tells whether the next call of one of these names is throttled, and counts it."""
        with self.lock:
            fault = next((found for name in names if (found := self.throttled.get(name))), None)
            if fault is None or fault.left <= 0:
                return False
            fault.left -= 1
        return True

    def _throttle(self, call: Call) -> None:
        if not self._has_fault(call.action, call.name):
            return
        if call.service == "s3":
            raise ApiError("SlowDown", "Please reduce your request rate.", 503)
        raise ApiError("ThrottlingException", "Rate exceeded")

    # The control API

    def _control(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length) or b"{}")
        name = environ["PATH_INFO"].removeprefix(CONTROL).replace("-", "_")
        handler: Callable[..., Any] | None = getattr(self, f"control_{name}", None)
        if handler is None:
            return _json(start_response, 404, {"error": f"there is no /emulator/{name}"})
        try:
            return _json(start_response, 200, handler(**body) or {})
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            return _json(start_response, 400, {"error": repr(error)})

    def control_state(self) -> dict[str, Any]:
        """Tells all there is."""
        alive = processes.counts(processes.CLUSTER, {processes.EMULATOR: self.world.emulator})
        clusters = list(self.emr.clusters.values())
        return {
            "clusters": {one.id: {**self._state_of(one), "processes": alive[one.id]} for one in clusters},
            "calls": dict(self.emr.calls),
            "fired": dict(self.scheduler.fired),
            "jobs": {**self._serverless_jobs(), **self._glue_runs(), **self._databricks_runs()},
        }

    def _serverless_jobs(self) -> dict[str, dict[str, Any]]:
        return {
            job.id: {
                "service": SERVERLESS,
                "name": job.request.get("name", ""),
                "state": job.state,
                "details": job.details,
                "request": job.request,
                "used": job.used(),
                "processes": len(processes.living(job.marks)),
                "directory": str(job.directory),
            }
            for job in list(self.serverless.jobs.values())
        }

    def _glue_runs(self) -> dict[str, dict[str, Any]]:
        return {
            run.id: {
                "service": GLUE,
                "name": run.arguments.get("--fruits-run", ""),
                "state": run.state,
                "details": run.message,
                "request": run.request,
                "used": {"DPUSeconds": run.dpu_seconds},
                "processes": len(processes.living(run.marks)),
                "directory": str(run.directory),
            }
            for run in list(self.glue.runs.values())
        }

    def _databricks_runs(self) -> dict[str, dict[str, Any]]:
        return {
            str(run.id): {
                "service": DATABRICKS,
                "name": run.request.get("run_name", ""),
                "state": run.result,
                "details": run.message,
                "request": run.request,
                "processes": len(processes.living(run.marks)),
                "directory": str(run.directory),
            }
            for run in list(self.databricks.runs.values())
        }

    def _state_of(self, cluster: Cluster) -> dict[str, Any]:
        with cluster.lock:
            return {
                "name": cluster.request["Name"],
                "region": cluster.region,
                "state": cluster.state,
                "reason": cluster.reason,
                "minutes": self.world.clock.elapsed(cluster.created, cluster.ended) / 60,
                "tags": cluster.tags,
                "request": cluster.request,
                "instances": [
                    {"id": one.id, "role": one.role, "state": one.state, "market": one.market}
                    for one in cluster.instances
                ],
                "steps": {
                    step.id: {
                        "name": step.config["Name"],
                        "state": step.state,
                        "args": step.args,
                        "failure": step.failure,
                        "log": str(cluster.directory / "steps" / step.id / "stderr"),
                    }
                    for step in cluster.steps
                },
                "directory": str(cluster.directory),
            }

    def control_throttle(self, action: str, times: int) -> None:
        """Has the next calls of an action throttled; of S3 as ``s3:PutObject``, of EMR by its name alone."""
        with self.lock:
            self.throttled[action] = Fault(times)

    def control_lose_node(self, cluster: str, role: str) -> None:
        """Loses a node of a role, ``core`` or ``master``."""
        found = self.emr.clusters[cluster]
        instance = next(iter(found.living_instances(role.upper())))
        threading.Thread(target=found.lose, args=(instance,), daemon=True).start()

    def control_reboot(self, cluster: str) -> None:
        """Restarts the machine of the master."""
        found = self.emr.clusters[cluster]
        threading.Thread(target=found.reboot, args=found.living_instances("MASTER")[:1], daemon=True).start()

    def control_spot_capacity(self, instances: int) -> None:
        """Sets how many Spot instances a cluster can have."""
        self.world.spot_capacity = instances

    def control_hold_cancels(self, on: bool) -> None:
        """Has cancelled steps stay CANCEL_PENDING, until it is turned off."""
        self.world.holds_cancels = on

    def control_give_clusters_spark(self, on: bool) -> None:
        """Has new clusters have Spark, or a master alone that has none."""
        self.world.with_spark = on

    def control_run_in_driver(self, on: bool) -> None:
        """Has new jobs and new clusters run their tasks in the driver, or in executors of their own."""
        self.world.in_driver = on

    def control_set_clock_speed(self, speed: float) -> None:
        """Runs the clock faster, or slower, from now on."""
        self.world.clock.set_speed(speed)

    def control_age(self, cluster: str, days: float) -> None:
        """Moves a cluster, its instances and its steps into the past."""
        found, seconds = self.emr.clusters[cluster], days * 86_400
        everything: list[Any] = [found, *found.instances, *found.steps]
        for one in everything:
            for name in ("created", "started", "ready", "ended"):
                if when := getattr(one, name, None):
                    setattr(one, name, when - seconds)

    def control_lose_instance(self, instance: str) -> None:
        """Loses the node with an EC2 id."""
        for cluster in self.emr.clusters.values():
            for one in cluster.instances:
                if one.id == instance:
                    threading.Thread(target=cluster.lose, args=(one,), daemon=True).start()

    def control_kill_step(self, step: str, what: str, signal: int = 9) -> dict[str, Any]:
        """Sends a signal to a step's driver (JVM and Python), its executors, or their Python workers."""
        command = {"driver": "", "executor": "CoarseGrainedExecutorBackend", "python": "pyspark.daemon"}[what]
        marks = {processes.EMULATOR: self.world.emulator, processes.STEP: step}
        if what != "driver":
            return {"killed": processes.kill(marks, command, signal)}
        everything = processes.living(marks)
        others = ("CoarseGrainedExecutorBackend", "pyspark.daemon", "pyspark.worker")
        drivers = [one for one, line in everything.items() if not any(other in line for other in others)]
        return {"killed": processes.kill_these(drivers, signal)}

    def control_billing_seconds(self, seconds: float) -> None:
        """Sets how long after its end a job of EMR Serverless is billed."""
        self.serverless.billing_seconds = seconds

    def control_workspace_region(self, region: str) -> None:
        """Has the workspace of Databricks lie in another region."""
        self.databricks.region = region

    def control_keep_busy(self, cluster: str, busy: bool = True) -> None:
        """Has a live notebook or an open web interface keep a cluster from counting as idle."""
        self.emr.clusters[cluster].busy = busy

    def control_enforce_iam(self, on: bool) -> None:
        """Turns the checks of permissions on or off."""
        self.authorization.enforced = on

    def control_asked(self) -> dict[str, list[tuple[str, str, str]]]:
        """Tells what roles were asked for since the last time: the role's name, the action and the resource."""
        asked, self.authorization.asked = self.authorization.asked, set()
        return {"asked": sorted(asked)}

    def control_root(self) -> dict[str, str]:
        """Tells the key that may do everything, also while permissions are enforced."""
        return {"key": self.world.root_key}

    def has_living_clusters(self) -> bool:
        """Tells whether any cluster has not ended."""
        return any(cluster.state not in ENDED for cluster in self.emr.clusters.values())


def _json(start_response: StartResponse, status: int, answer: Any, error: str = "") -> Iterable[bytes]:
    body = json.dumps(answer).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))]
    headers += [("x-amzn-ErrorType", error)] if error else []
    start_response(
        f"{status} {'OK' if status == 200 else 'Error'}", [*headers, ("x-amzn-RequestId", str(uuid.uuid4()))]
    )
    return [body]


def _refuse(start_response: StartResponse, call: Call, error: ApiError) -> Iterable[bytes]:
    """Answers with an error in the form that the client of the service reads."""
    if call.is_json:
        return _json(start_response, error.status, {"__type": error.code, "message": error.message}, error.code)
    details = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    if call.service == "s3":
        body = f"<Error>{details}<RequestId>emulator</RequestId></Error>"
    elif call.service == "ec2":
        body = f"<Response><Errors><Error>{details}</Error></Errors><RequestID>emulator</RequestID></Response>"
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type>{details}</Error><RequestId>emulator</RequestId></ErrorResponse>"
        )
    content = b"" if call.method == "HEAD" else b'<?xml version="1.0" encoding="UTF-8"?>' + body.encode()
    start_response(f"{error.status} Error", [("Content-Type", "text/xml"), ("Content-Length", str(len(content)))])
    return [content]
