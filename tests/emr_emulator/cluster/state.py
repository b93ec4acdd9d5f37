"""What is known of a cluster: its state, its instances, and where its logs go."""

import gzip
import logging
import re
import threading
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.world import ACCOUNT, ENDED, Instance, Step, World, groups_of, new_id
from tests.emr_emulator.shims import make_shims

log = logging.getLogger("emr_emulator")


class ClusterState:
    """What EMR tells of a cluster."""

    def __init__(self, world: World, region: str, request: dict[str, Any]) -> None:
        self.world = world
        self.region = region
        self.request = request
        self.id = new_id("j-")
        self.arn = f"arn:aws:elasticmapreduce:{region}:{ACCOUNT}:cluster/{self.id}"
        self.lock = threading.RLock()
        self.state = "STARTING"
        self.reason: dict[str, str] = {}
        self.created = time.time()
        self.ready: float | None = None
        self.ended: float | None = None
        self.idle_since: float | None = None
        self.busy = False
        self.ending: tuple[str, str, str] | None = None
        self.tags = {one["Key"]: one.get("Value", "") for one in request.get("Tags", [])}
        self.protected = bool(request["Instances"].get("TerminationProtected", False))
        self.auto_termination: dict[str, Any] | None = request.get("AutoTerminationPolicy")
        self.managed_scaling: dict[str, Any] | None = request.get("ManagedScalingPolicy")
        self.concurrency = int(request.get("StepConcurrencyLevel", 1))
        self.groups = groups_of(request["Instances"])
        self.instances: list[Instance] = []
        self.steps = [Step(config) for config in request.get("Steps", [])]
        # Spark's, once a step has needed it; whether its workers are processes of their own.
        self.master, self.workers = "", False
        self.starting = threading.Lock()
        self.unpushed: dict[Step, dict[str, Path]] = {}
        self.pushed = time.time()
        self.credentials: dict[str, str] = {}
        self.directory = world.directory / "clusters" / self.id
        (self.directory / "tmp").mkdir(parents=True)
        self.shims = make_shims(self.directory, region, world.stand_in)
        self.keep_to_limits()

    @property
    def keep_alive(self) -> bool:
        """Whether it waits for further steps when there are none."""
        return bool(self.request["Instances"].get("KeepJobFlowAliveWhenNoSteps", False))

    @property
    def log_place(self) -> tuple[str, str] | None:
        """Bucket and prefix of its logs."""
        uri = self.request.get("LogUri", "")
        if not uri:
            return None
        bucket, _, prefix = re.sub(r"^s3[an]?://", "", uri).partition("/")
        return bucket, f"{prefix.rstrip('/')}/{self.id}".lstrip("/")

    @property
    def marks(self) -> dict[str, str]:
        """What the environment of its processes carries."""
        return {processes.EMULATOR: self.world.emulator, processes.CLUSTER: self.id}

    @property
    def has_fleets(self) -> bool:
        """Whether it was asked for with instance fleets."""
        return "InstanceFleets" in self.request["Instances"]

    def living_instances(self, role: str) -> list[Instance]:
        """Returns the instances of MASTER or CORE that have not ended."""
        return [one for one in self.instances if one.role == role and one.state != "TERMINATED"]

    def keep_to_limits(self) -> None:
        """Sets the size of the core group to within the limits of managed scaling."""
        limits = (self.managed_scaling or {}).get("ComputeLimits")
        if not limits:
            return
        for group in self.groups:
            if group["InstanceRole"] == "CORE":
                # The limits count core and task nodes, not the master.
                least, most = int(limits["MinimumCapacityUnits"]), int(limits["MaximumCapacityUnits"])
                group["InstanceCount"] = min(max(int(group["InstanceCount"]), least), most)
        if self.state in ("RUNNING", "WAITING"):
            self._provision()

    def _provision(self) -> None:
        """Adds and ends instances until every group has its size."""
        with self.lock:
            for group in self.groups:
                if self._is_unfilled(group):
                    continue
                have = [one for one in self.instances if one.group == group["Id"] and one.state != "TERMINATED"]
                for _ in range(int(group["InstanceCount"]) - len(have)):
                    instance = Instance(group["Id"], group["InstanceRole"], group["InstanceType"], group["Market"])
                    self.instances.append(instance)
                    if self.state in ("RUNNING", "WAITING"):
                        instance.become("RUNNING")
                for instance in have[int(group["InstanceCount"]) :]:
                    instance.become("TERMINATED", "CLUSTER_RESIZE", "Instance was removed by managed scaling")

    def _is_unfilled(self, group: dict[str, Any]) -> bool:
        """Tells whether there are too few Spot instances for a group or fleet: it gets none then."""
        return group["Market"] == "SPOT" and int(group["InstanceCount"]) > self.world.spot_capacity

    def become(self, state: str, code: str = "", message: str = "") -> None:
        """Enters a state, at the time of now."""
        with self.lock:
            if self.state == state:
                return
            log.info("%s %s -> %s %s", self.id, self.state, state, message)
            self.state = state
            self.reason = {"Code": code, "Message": message} if code else {}
            if state in ("RUNNING", "WAITING") and self.ready is None:
                self.ready = time.time()
            if state in ENDED:
                self.ended = time.time()

    def end(self, state: str, code: str, message: str) -> None:
        """Asks for the end; the first reason given stays."""
        with self.lock:
            self.ending = self.ending or (state, code, message)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.ending:
            time.sleep(0.05)

    def _log_uri(self, step: Step, name: str) -> str:
        if self.log_place is None:
            return ""
        bucket, prefix = self.log_place
        return f"s3://{bucket}/{prefix}/steps/{step.id}/{name}"

    def _push_due_logs(self) -> None:
        """Copies the logs of steps, every few minutes and of those that have ended too: EMR is not faster."""
        if self.world.clock.elapsed(self.pushed) >= self.world.log_seconds:
            self._push_all_logs()

    def _push_all_logs(self) -> None:
        self.pushed = time.time()
        for step, files in list(self.unpushed.items()):
            self._push_logs(step, files)
            if step.ended:
                del self.unpushed[step]

    def _push_logs(self, step: Step, files: dict[str, Path]) -> None:
        for name, file in files.items():
            self._push(f"steps/{step.id}/{name}.gz", file)

    def _push(self, name: str, file: Path) -> None:
        """Copies a log to the log URI, under the nodes' own role as EMR does."""
        if self.log_place is None or not file.exists():
            return
        bucket, prefix = self.log_place
        try:
            self.world.client("s3", self.region, self.credentials).put_object(
                Bucket=bucket, Key=f"{prefix}/{name}", Body=gzip.compress(file.read_bytes(), 1)
            )
        except (ClientError, BotoCoreError) as error:
            log.warning("%s cannot write its log %s: %s", self.id, name, error)
