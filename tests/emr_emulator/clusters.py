"""Clusters that go through EMR's states and run their steps on a Spark standalone cluster of this machine."""

import gzip
import json
import logging
import os
import re
import secrets
import string
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from spark_steps.spark.session import find_java_home
from tests.emr_emulator import processes
from tests.emr_emulator.shims import make_shims
from tests.emr_emulator.spark import SMALL_JAVA, java_options, link, rewrite_command, spark_defaults

log = logging.getLogger("emr_emulator")

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
STEP_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED")
LOG_PUSH_SECONDS = 5.0
ACCOUNT = "123456789012"


def new_id(prefix: str, length: int = 13) -> str:
    """Returns an id in EMR's form, such as ``j-2AXXXXXXGAPLF``."""
    return prefix + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(length))


@dataclass
class World:
    """What all clusters of one emulator share."""

    endpoint: str
    directory: Path
    emulator: str
    root_key: str
    spark_home: Path
    stand_in: Path | None
    startup_seconds: float
    clock_speed: float

    def client(self, service: Any, region: str, credentials: dict[str, str] | None = None) -> Any:
        """Returns a client of this emulator: as root, or with the credentials of an environment."""
        known = credentials or {"AWS_ACCESS_KEY_ID": self.root_key, "AWS_SECRET_ACCESS_KEY": "root"}
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=known["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=known.get("AWS_SESSION_TOKEN"),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 2}),
        )


@dataclass
class Instance:
    """A node: master and the first two core nodes have processes, further ones are numbers only."""

    group: str
    role: str
    kind: str
    market: str
    id: str = field(default_factory=lambda: "i-" + secrets.token_hex(8)[:17])
    emr_id: str = field(default_factory=lambda: new_id("ci-"))
    state: str = "PROVISIONING"
    reason: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    ready: float | None = None
    ended: float | None = None

    def become(self, state: str, code: str = "", message: str = "") -> None:
        """Enters a state, at the time of now."""
        self.state = state
        if code:
            self.reason = {"Code": code, "Message": message}
        if state == "RUNNING" and self.ready is None:
            self.ready = time.time()
        if state == "TERMINATED" and self.ended is None:
            self.ended = time.time()


@dataclass
class Step:
    """A step and the process that runs it."""

    config: dict[str, Any]
    id: str = field(default_factory=lambda: new_id("s-"))
    state: str = "PENDING"
    reason: dict[str, str] = field(default_factory=dict)
    failure: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    cancelled: bool = False

    @property
    def args(self) -> list[str]:
        """The command as it was given."""
        return list(self.config["HadoopJarStep"].get("Args", []))


class Cluster:
    """One cluster: a thread walks it through its states, another runs each step."""

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
        self.groups = _groups(request["Instances"])
        self.instances: list[Instance] = []
        self.steps = [Step(config) for config in request.get("Steps", [])]
        self.master = ""
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

    # Instances

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
                have = [one for one in self.instances if one.group == group["Id"] and one.state != "TERMINATED"]
                for _ in range(int(group["InstanceCount"]) - len(have)):
                    instance = Instance(group["Id"], group["InstanceRole"], group["InstanceType"], group["Market"])
                    self.instances.append(instance)
                    if self.state in ("RUNNING", "WAITING"):
                        instance.become("RUNNING")
                for instance in have[int(group["InstanceCount"]) :]:
                    instance.become("TERMINATED", "CLUSTER_RESIZE", "Instance was removed by managed scaling")

    # States

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
            self.idle_since = time.time() if state == "WAITING" else None

    def end(self, state: str, code: str, message: str) -> None:
        """Asks for the end; the first reason given stays."""
        with self.lock:
            self.ending = self.ending or (state, code, message)

    def start(self) -> None:
        """Begins its life, in a thread of its own."""
        threading.Thread(target=self._live, name=self.id, daemon=True).start()

    def _live(self) -> None:
        try:
            self._start_up()
            while not self.ending:
                self._advance()
                time.sleep(0.05)
        except Exception as error:
            log.exception("%s failed", self.id)
            self.end("TERMINATED_WITH_ERRORS", "INTERNAL_ERROR", f"The emulator failed: {error!r}")
        self._shut_down()

    def _start_up(self) -> None:
        self._wait(self.world.startup_seconds / 2)
        if self.ending:
            return
        self.credentials = self._credentials()
        self._provision()
        with self.lock:
            for instance in self.instances:
                instance.become("BOOTSTRAPPING")
        self.become("BOOTSTRAPPING")
        self._start_spark()
        self._bootstrap()
        self._wait(self.world.startup_seconds / 2)
        if self.ending:
            return
        environment = self._opt(self.living_instances("MASTER")[0]) / "environment"
        if self.world.stand_in is not None and not (environment / "bin" / "python").exists():
            link(environment, self.world.stand_in)
        with self.lock:
            for instance in self.instances:
                if instance.state != "TERMINATED":
                    instance.become("RUNNING")
        self.become("RUNNING", "", "Running step" if self.steps else "")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.ending:
            time.sleep(0.05)

    def _advance(self) -> None:
        """Starts what can start, and ends what has waited long enough."""
        with self.lock:
            running = [step for step in self.steps if step.state in ("RUNNING", "CANCEL_PENDING")]
            pending = [step for step in self.steps if step.state == "PENDING"]
            if pending and len(running) < self.concurrency:
                step = pending[0]
                step.state, step.started = "RUNNING", time.time()
                running.append(step)
                threading.Thread(target=self._run_step, args=(step,), name=step.id, daemon=True).start()
            if running or pending:
                self.become("RUNNING", "", "Running step")
            elif self.keep_alive:
                self.become("WAITING", "USER_REQUEST", "Cluster ready to run steps.")
            else:
                self.end("TERMINATED", "ALL_STEPS_COMPLETED", "Steps completed")
            idle_timeout = (self.auto_termination or {}).get("IdleTimeout")
            if self.busy and self.idle_since:
                self.idle_since = time.time()
            if idle_timeout and self.idle_since:
                idle = (time.time() - self.idle_since) * self.world.clock_speed
                if idle >= idle_timeout:
                    self.end("TERMINATED", "USER_REQUEST", "Auto-terminated: the cluster was idle for too long")

    def _shut_down(self) -> None:
        state, code, message = self.ending or ("TERMINATED", "USER_REQUEST", "Terminated by user request")
        self.become("TERMINATING", code, message)
        with self.lock:
            running = [step for step in self.steps if step.state in ("RUNNING", "CANCEL_PENDING")]
            for step in self.steps:
                if step.state == "PENDING":
                    self._end_step(step, "CANCELLED", "Job terminated")
        processes.kill(self.marks)
        until = time.monotonic() + 15
        while any(step.state not in STEP_ENDED for step in running) and time.monotonic() < until:
            time.sleep(0.05)
        with self.lock:
            for instance in self.instances:
                if instance.state != "TERMINATED":
                    instance.become("TERMINATED", "CLUSTER_TERMINATED", "Job flow terminated")
        self.become(state, code, message)

    # Faults

    def lose(self, instance: Instance) -> None:
        """Loses a node as if its machine had gone: a core node is replaced, without its master a cluster ends."""
        with self.lock:
            if instance.state == "TERMINATED":
                return
            log.info("%s loses its %s node %s", self.id, instance.role, instance.id)
            instance.become("TERMINATED", "INSTANCE_FAILURE", f"Instance {instance.id} was terminated")
            if instance.role == "MASTER":
                self.end("TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE", f"The master node {instance.id} was terminated.")
                return
        processes.kill({**self.marks, processes.NODE: instance.id})
        self._wait(self.world.startup_seconds)
        with self.lock:
            if self.ending:
                return
            self._provision()
            new = self.living_instances("CORE")[-1]
        self._start_worker(new)
        new.become("RUNNING")

    # What runs

    def _credentials(self) -> dict[str, str]:
        profile = self.world.client("iam", self.region).get_instance_profile(
            InstanceProfileName=self.request["JobFlowRole"].rpartition("/")[2]
        )["InstanceProfile"]
        answer = self.world.client("sts", self.region).assume_role(
            RoleArn=profile["Roles"][0]["Arn"], RoleSessionName=self.id
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["SessionToken"],
        }

    def _environment(self, node: Instance) -> dict[str, str]:
        """Returns all that a process of a node finds in its environment; nothing of this process's own."""
        java = str(find_java_home())
        spark = str(self.world.spark_home)
        return {
            "PATH": f"{self.shims}:{java}/bin:{spark}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.directory),
            "USER": "hadoop",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.directory / "tmp"),
            "JAVA_HOME": java,
            "SPARK_HOME": spark,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.directory / "tmp"),
            "SPARK_LAUNCHER_OPTS": SMALL_JAVA,
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": java_options(self.world.spark_home),
            "SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            "AWS_ENDPOINT_URL": self.world.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.credentials,
            **self.marks,
            processes.NODE: node.id,
            "EMR_EMULATOR_CLOCK_SPEED": str(self.world.clock_speed),
            "EMR_EMULATOR_NODE_DIRECTORY": str(self._node(node)),
        }

    def _node(self, node: Instance) -> Path:
        directory = self.directory / "nodes" / node.id
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _opt(self, node: Instance) -> Path:
        """Returns what is /opt/fruits on a node."""
        directory = self._node(node) / "opt" / "fruits"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _start_spark(self) -> None:
        node = self.living_instances("MASTER")[0]
        output = self._node(node) / "spark-master.log"
        spark_class = str(self.world.spark_home / "bin" / "spark-class")
        command = [spark_class, "org.apache.spark.deploy.master.Master"]
        process = processes.start(
            [*command, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"],
            self._environment(node),
            self.directory, output, output,
        )  # fmt: skip
        until = time.monotonic() + 60
        while not self.master and not self.ending:
            if match := re.search(r"Starting Spark master at (spark://\S+)", output.read_text(errors="replace")):
                self.master = match.group(1)
            elif time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"Spark's master did not start: {output.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        for worker in range(2):
            cores = self.living_instances("CORE") or [node]
            self._start_worker(cores[min(worker, len(cores) - 1)])

    def _start_worker(self, node: Instance) -> None:
        output = self._node(node) / "spark-worker.log"
        spark_class = str(self.world.spark_home / "bin" / "spark-class")
        # The memory is bookkeeping of the master's: what an executor takes is its own -Xmx.
        size = ["--cores", str(self.concurrency), "--memory", "8g", "--work-dir", str(self._node(node) / "work")]
        address = ["--host", "127.0.0.1", "--webui-port", "0"]
        processes.start(
            [spark_class, "org.apache.spark.deploy.worker.Worker", *address, *size, self.master],
            self._environment(node),
            self.directory, output, output,
        )  # fmt: skip

    def _bootstrap(self) -> None:
        """Runs every bootstrap action on every emulated node, as EMR does before Spark's applications."""
        nodes = [*self.living_instances("MASTER")[:1], *self.living_instances("CORE")[:2]]
        for number, action in enumerate(self.request.get("BootstrapActions", []), start=1):
            for node in nodes:
                if self.ending:
                    return
                if message := self._bootstrap_node(node, number, action["ScriptBootstrapAction"]):
                    self.end("TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", message)
                    return

    def _bootstrap_node(self, node: Instance, number: int, action: dict[str, Any]) -> str:
        directory = self._node(node)
        info = directory / "info"
        info.mkdir(exist_ok=True)
        (info / "instance.json").write_text(json.dumps({"isMaster": node.role == "MASTER"}))
        (info / "job-flow.json").write_text(json.dumps({"jobFlowId": self.id}))
        role = "master" if node.role == "MASTER" else "slave"
        bucket, _, key = re.sub(r"^s3[an]?://", "", action["Path"]).partition("/")
        try:
            s3 = self.world.client("s3", self.region, self.credentials)
            text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except (ClientError, BotoCoreError) as error:
            return f"On the {role} instance ({node.id}), bootstrap action {number} could not be downloaded: {error}"
        for place, local in {"/opt/fruits": self._opt(node), "/mnt/var/lib/info": info}.items():
            text = text.replace(place, str(local))
        script = directory / f"bootstrap-{number}.sh"
        script.write_text(text)
        stdout, stderr = directory / f"bootstrap-{number}.stdout", directory / f"bootstrap-{number}.stderr"
        process = processes.start(
            ["bash", str(script), *action.get("Args", [])], self._environment(node), directory, stdout, stderr
        )
        while process.poll() is None and not self.ending:
            time.sleep(0.05)
        if process.poll() is None:
            return ""
        for name, file in {"stdout": stdout, "stderr": stderr}.items():
            self._push(f"node/{node.id}/bootstrap-actions/{number}/{name}.gz", file)
        if process.returncode != 0:
            log.info("bootstrap action %s of %s: %s", number, node.id, stderr.read_text(errors="replace")[-2000:])
            code = process.returncode
            where = f"On the {role} instance ({node.id}), bootstrap action {number}"
            return f"{where} returned a non-zero return code ({code})"
        return ""

    # Steps

    def _run_step(self, step: Step) -> None:
        directory = self.directory / "steps" / step.id
        (directory / "conf").mkdir(parents=True)
        (directory / "conf" / "spark-defaults.conf").write_text(
            spark_defaults(self.world.endpoint, self.region, step.id, java_options(self.world.spark_home))
        )
        node = next(one for one in self.instances if one.role == "MASTER")
        # One path for driver and executors, as they have one machine: that of the master's own environment.
        command = rewrite_command(step.args, self.world.spark_home, self.master, self._opt(node))
        files = {name: directory / name for name in ("controller", "stdout", "stderr")}
        for file in files.values():
            file.touch()
        with files["controller"].open("w") as controller:
            controller.write(f"INFO startExec {json.dumps(step.args)}\nINFO emulated as {json.dumps(command)}\n")
        environment = {
            **self._environment(node),
            processes.STEP: step.id,
        }
        if Path(command[0]).name == "spark-submit":
            # Not SPARK_CONF_DIR: that would stand on the class path, and the archive of classes would not fit it.
            command[1:1] = ["--properties-file", str(directory / "conf" / "spark-defaults.conf")]
        else:
            environment["SPARK_CONF_DIR"] = str(directory / "conf")
        work = directory / "work"
        work.mkdir()
        try:
            process = processes.start(command, environment, work, files["stdout"], files["stderr"])
            code = self._follow(step, process, files)
        except OSError as error:
            files["stderr"].write_text(f"Exception in thread main java.lang.RuntimeException: {error}\n")
            code = 127
        processes.kill({**self.marks, processes.STEP: step.id})
        with files["controller"].open("a") as controller:
            # Of a process that a signal ended, the step runner's shell says 128 and the signal.
            controller.write(f"INFO waitProcessCompletion ended with exit code {128 - code if code < 0 else code}\n")
        self._push_logs(step, files)
        with self.lock:
            if step.cancelled or (self.ending and self.ending[0] == "TERMINATED"):
                self._end_step(step, "CANCELLED", "Cancelled by user" if step.cancelled else "Job terminated")
            elif self.ending:
                self._end_step(step, "FAILED", "")
            elif code == 0:
                self._end_step(step, "COMPLETED", "")
            else:
                step.failure = {
                    "Reason": "Unknown Error",
                    "Message": last_exception(files["stderr"].read_text(errors="replace")),
                    "LogFile": self._log_uri(step, "stderr.gz"),
                }
                self._end_step(step, "FAILED", "")
                self._after_failure(step)

    def _follow(self, step: Step, process: "subprocess.Popen[bytes]", files: dict[str, Path]) -> int:
        pushed = time.monotonic()
        while process.poll() is None:
            if self.ending and not step.cancelled:
                processes.kill({**self.marks, processes.STEP: step.id})
            if time.monotonic() - pushed > LOG_PUSH_SECONDS:
                self._push_logs(step, files)
                pushed = time.monotonic()
            time.sleep(0.05)
        return process.returncode

    def _end_step(self, step: Step, state: str, message: str) -> None:
        log.info("%s %s %s -> %s %s", self.id, step.id, step.state, state, step.failure.get("Message", message))
        step.state, step.ended = state, time.time()
        step.reason = {"Message": message} if message else {}

    def _after_failure(self, step: Step) -> None:
        action = step.config.get("ActionOnFailure", "CONTINUE")
        if action in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            self.end("TERMINATED_WITH_ERRORS", "STEP_FAILURE", f"Shut down as step failed: {step.id}")
        elif action == "CANCEL_AND_WAIT":
            for other in self.steps:
                if other.state == "PENDING":
                    self._end_step(other, "CANCELLED", "Cancelled as an earlier step failed")

    def cancel(self, step: Step, option: str) -> str:
        """Asks a step to be cancelled; it ends later, as on EMR.

        Args:
            step: Pending or running.
            option: SEND_INTERRUPT or TERMINATE_PROCESS.

        Returns:
            Why it cannot be, or nothing.
        """
        with self.lock:
            if step.state == "PENDING":
                self._end_step(step, "CANCELLED", "Cancelled by user")
                return ""
            if step.state != "RUNNING":
                return f"Cannot cancel step {step.id}: it is {step.state}."
            step.cancelled, step.state = True, "CANCEL_PENDING"
        threading.Thread(target=self._interrupt, args=(step, option), daemon=True).start()
        return ""

    def _interrupt(self, step: Step, option: str) -> None:
        marks = {**self.marks, processes.STEP: step.id}
        time.sleep(0.3)
        until = time.monotonic() + 10
        if option == "SEND_INTERRUPT":
            processes.kill(marks, signal_number=15)
        else:
            processes.kill(marks)
        # A step that was just starting has its processes a moment later.
        while step.state not in STEP_ENDED and time.monotonic() < until:
            time.sleep(0.5)
            if option == "TERMINATE_PROCESS":
                processes.kill(marks)

    # Logs

    def _log_uri(self, step: Step, name: str) -> str:
        if self.log_place is None:
            return ""
        bucket, prefix = self.log_place
        return f"s3://{bucket}/{prefix}/steps/{step.id}/{name}"

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


def _groups(instances: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the instance groups of a request, from either of the two ways to ask for them."""
    groups = [dict(one) for one in instances.get("InstanceGroups", [])]
    if not groups:
        count = int(instances.get("InstanceCount", 1))
        master = instances.get("MasterInstanceType", "m5.xlarge")
        groups = [{"InstanceRole": "MASTER", "InstanceType": master, "InstanceCount": 1}]
        if count > 1:
            core = instances.get("SlaveInstanceType", master)
            groups.append({"InstanceRole": "CORE", "InstanceType": core, "InstanceCount": count - 1})
    for group in groups:
        group.setdefault("Id", new_id("ig-"))
        group.setdefault("Market", "ON_DEMAND")
        group.setdefault("Name", group["InstanceRole"].capitalize())
    return groups


def last_exception(stderr: str) -> str:
    """Returns the last line of a step's stderr that names an exception, which is what EMR shows of it."""
    pattern = re.compile(
        r"^(?:Caused by: |Exception in thread .*|(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Interrupt)\b.*)"
    )
    lines = [line.strip() for line in stderr.splitlines()]
    found = [line for line in lines if pattern.match(line)]
    return found[-1][:1000] if found else ""


def process_count(world: World, cluster: str) -> int:
    """Returns how many processes of a cluster are alive."""
    return len(processes.living({processes.EMULATOR: world.emulator, processes.CLUSTER: cluster}))


def end_everything(world: World) -> None:
    """Ends every process of every cluster."""
    processes.kill({processes.EMULATOR: world.emulator})


def new_emulator_id() -> str:
    """Returns a mark that no other emulator has."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"
