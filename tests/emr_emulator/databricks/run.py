"""One run of a workspace: its states, its cluster, its processes, its output and its logs."""

import itertools
import json
import logging
import secrets
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.world import World
from tests.emr_emulator.databricks import host
from tests.emr_emulator.databricks.node import Node
from tests.emr_emulator.spark import java_options, rewrite_command, spark_defaults

log = logging.getLogger("emr_emulator")

OVER = "TERMINATED"
_RESULTS = {"SUCCESS": "SUCCESS", "USER_CANCELED": "CANCELED", "CANCELED": "TIMEDOUT"}
_ids = itertools.count(700_000_000_000_001, 17)


@dataclass(eq=False)
class DatabricksRun:
    """A one-time run; a thread walks it through its states.

    Attributes:
        world: Of the emulator.
        region: Of the workspace.
        request: Of runs/submit.
    """

    world: World
    region: str
    request: dict[str, Any]
    id: int = field(default_factory=lambda: next(_ids))
    task_id: int = field(default_factory=lambda: next(_ids))
    cluster_id: str = field(default_factory=lambda: f"1127-160000-{secrets.token_hex(4)}")
    state: str = "PENDING"
    code: str = ""
    message: str = ""
    error: str = ""
    trace: str = ""
    logs: str = ""
    created: float = field(default_factory=time.time)
    ended: float | None = None
    cancelled: bool = False
    credentials: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def task(self) -> dict[str, Any]:
        """Its only task."""
        task: dict[str, Any] = self.request["tasks"][0]
        return task

    @property
    def cluster(self) -> dict[str, Any]:
        """The cluster that it asks for."""
        cluster: dict[str, Any] = self.task["new_cluster"]
        return cluster

    @property
    def result(self) -> str:
        """The state of its life, or of its end."""
        return _RESULTS.get(self.code, "FAILED") if self.state == OVER else self.state

    @property
    def directory(self) -> Path:
        """For its files."""
        return self.world.directory / "databricks" / str(self.id)

    @property
    def marks(self) -> dict[str, str]:
        """What the environment of its processes has."""
        return {processes.EMULATOR: self.world.emulator, processes.STEP: str(self.id)}

    def become(self, state: str, code: str = "", message: str = "") -> None:
        """Enters a state, unless it is over."""
        with self.lock:
            if self.state == OVER:
                return
            log.info("run %s %s -> %s %s %s", self.id, self.state, state, code, message)
            self.state, self.code, self.message = state, code, message
            if state == OVER:
                self.ended = time.time()

    def cancel(self) -> None:
        """Asks for its end, which comes later."""
        with self.lock:
            self.cancelled = True

    def run(self, startup_seconds: float) -> None:
        """Walks through its life, in a thread of its own.

        Args:
            startup_seconds: How long its nodes take to be ready.
        """
        code, message = "INTERNAL_ERROR", ""
        try:
            (self.directory / "tmp").mkdir(parents=True)
            code, message = self._live(startup_seconds)
        except Exception as error:
            log.exception("run %s failed", self.id)
            message = f"The emulator failed: {error!r}"
        processes.kill(self.marks)
        if self.cancelled:
            code, message = "USER_CANCELED", "Run cancelled."
        elif self._is_late():
            code, message = "CANCELED", "Run timed out: its maximum duration was exceeded."
        # Its cluster and what Spark has put onto its disks are gone.
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        self.become(OVER, code, message)

    def _is_late(self) -> bool:
        limit = min(one.get("timeout_seconds") or 10**9 for one in (self.request, self.task))
        return self.world.clock.elapsed(self.created) > limit

    def _stops(self) -> bool:
        return self.cancelled or self._is_late()

    def _live(self, startup_seconds: float) -> tuple[str, str]:
        """Returns the code and the message of its end."""
        until = time.monotonic() + startup_seconds
        while time.monotonic() < until and not self._stops():
            time.sleep(0.05)
        self._assume_role()
        node = Node(self.world, self.region, self.directory, {**self.credentials, **self.marks})
        for number, script in enumerate(self.cluster.get("init_scripts", [])):
            problem = node.run_init_script(script["s3"], self.cluster.get("spark_env_vars", {}), self._stops)
            self._write_logs({f"init_scripts/{number}.log": node.directory / "init.log"})
            if problem:
                return "CLUSTER_ERROR", (
                    f"Cluster '{self.cluster_id}' was terminated. Reason: INIT_SCRIPT_FAILURE (CLIENT_ERROR). "
                    f"Cluster scoped init script {script['s3']['destination']} failed: {problem}"
                )
        file, files = self.directory / "task.py", {name: self.directory / name for name in ("stdout", "stderr")}
        try:
            bucket, _, key = self.task["spark_python_task"]["python_file"].removeprefix("s3://").partition("/")
            self.world.client("s3", self.region, self.credentials).download_file(bucket, key, str(file))
        except (ClientError, BotoCoreError) as error:
            return "STORAGE_ACCESS_ERROR", f"The file of the task cannot be read: {error}"
        if self._stops():
            return "CANCELED", ""
        self.become("RUNNING")
        code = self._follow(file, node, files)
        self.become("TERMINATING")
        self._write_logs({f"driver/{name}": path for name, path in files.items()})
        # Spark's own lines, which come first, are in stderr.
        self.logs = "".join(files[name].read_text(errors="replace") for name in ("stderr", "stdout"))
        return self._outcome(code)

    def _outcome(self, code: int) -> tuple[str, str]:
        told = self.directory / "told.json"
        if not told.exists():
            # Of a process that a signal ended, a shell says 128 and the signal.
            code = 128 - code if code < 0 else code
            killed = " (SIGKILL: Killed). This may have been caused by an OOM error" if code == 137 else ""
            self.error = (
                f"Fatal error: The Python kernel is unresponsive. The Python process exited with exit code {code}"
            )
            self.error += f"{killed}."
            return "RUN_EXECUTION_ERROR", self.error
        found = json.loads(told.read_text())
        self.error, self.trace = found.get("error", ""), found.get("trace", "")
        return ("RUN_EXECUTION_ERROR", "Workload failed, see run output for details.") if found else ("SUCCESS", "")

    def _assume_role(self) -> None:
        name = self.cluster["aws_attributes"]["instance_profile_arn"].rpartition("/")[2]
        iam: Any = self.world.client("iam", self.region)
        role = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"][0]["Arn"]
        sts: Any = self.world.client("sts", self.region)
        given = sts.assume_role(RoleArn=role, RoleSessionName="node")["Credentials"]
        self.credentials = {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def _follow(self, file: Path, node: Node, files: dict[str, Path]) -> int:
        """Runs its file in a driver, until that ends or it stops, and returns the exit code."""
        for path in files.values():
            path.touch()
        work, world = self.directory / "work", self.world
        work.mkdir()
        defaults = self.directory / "spark-defaults.conf"
        java = java_options(world.spark_home)
        defaults.write_text(spark_defaults(world.endpoint, self.region, str(self.id), java, world.executors))
        master = f"local-cluster[{min(world.executors, int(self.cluster['num_workers']))},1,1024]"
        conf = [word for name, value in self.cluster["spark_conf"].items() for word in ("--conf", f"{name}={value}")]
        submit = [str(world.spark_home / "bin" / "spark-submit"), "--master", master]
        submit += ["--properties-file", str(defaults), *conf, str(host.__file__), str(self.directory / "told.json")]
        submit += [str(file), *self.task["spark_python_task"].get("parameters", [])]
        command = rewrite_command(submit, world.spark_home, master, self.directory)
        environment = {**node.environment(self.cluster.get("spark_env_vars", {})), "AWS_ENDPOINT_URL": world.endpoint}
        process = processes.start(command, environment, work, files["stdout"], files["stderr"])
        while process.poll() is None:
            if self._stops():
                processes.kill(self.marks)
            time.sleep(0.05)
        processes.kill(self.marks)
        return int(process.returncode)

    def _write_logs(self, files: dict[str, Path]) -> None:
        """Writes logs of its cluster under the role of its nodes, as Databricks does."""
        if "cluster_log_conf" not in self.cluster:
            return
        destination = self.cluster["cluster_log_conf"]["s3"]["destination"]
        bucket, _, prefix = destination.removeprefix("s3://").partition("/")
        s3: Any = self.world.client("s3", self.region, self.credentials)
        for name, path in files.items():
            try:
                body = path.read_bytes() if path.exists() else b""
                s3.put_object(Bucket=bucket, Key=f"{prefix}/{self.cluster_id}/{name}", Body=body)
            except (ClientError, BotoCoreError) as error:
                log.warning("run %s cannot write its log %s: %s", self.id, name, error)
