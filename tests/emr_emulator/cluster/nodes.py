"""What runs on the nodes of a cluster: bootstrap actions and the processes of Spark."""

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.state import ClusterState
from tests.emr_emulator.cluster.world import Instance
from tests.emr_emulator.spark import java_options

log = logging.getLogger("emr_emulator")


class Nodes(ClusterState):
    """A cluster whose nodes have processes."""

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
        common = self.world.spark_environment(self.directory)
        return {
            **common,
            "PATH": f"{self.shims}:{common['PATH']}",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": java_options(self.world.spark_home),
            "AWS_ENDPOINT_URL": self.world.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.credentials,
            **self.marks,
            processes.NODE: node.id,
            "EMR_EMULATOR_CLOCK": str(self.world.clock.file),
            "EMR_EMULATOR_EPOCH": str(self.created),
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
        """Starts master and workers for the first step that needs them: most clusters of the tests never do."""
        with self.starting:
            if self.master:
                return
            if self.world.in_driver:
                self.master = self.world.master(self.world.executors)
            else:
                self._start_daemons()

    def _start_daemons(self) -> None:
        node = self.living_instances("MASTER")[0]
        output = self._node(node) / "spark-master.log"
        spark_class = str(self.world.spark_home / "bin" / "spark-class")
        command = [spark_class, "org.apache.spark.deploy.master.Master"]
        process = processes.start(
            [*command, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"],
            self._environment(node),
            self.directory, output, output,
        )  # fmt: skip
        until, master = time.monotonic() + 60, ""
        while not master and not self.ending:
            if match := re.search(r"Starting Spark master at (spark://\S+)", output.read_text(errors="replace")):
                master = match.group(1)
            elif time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"Spark's master did not start: {output.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        if not master:
            return
        self.master, self.workers = master, True
        for worker in range(self.world.executors):
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
        cores = self.living_instances("CORE")[: self.world.executors] if self.world.with_spark else []
        nodes = [*self.living_instances("MASTER")[:1], *cores]
        for number, action in enumerate(self.request.get("BootstrapActions", []), start=1):
            for node in nodes:
                if self.ending:
                    return
                if message := self._bootstrap_node(node, number, action["ScriptBootstrapAction"]):
                    self.end("TERMINATED_WITH_ERRORS", "BOOTSTRAP_FAILURE", message)
                    return

    def _start_enabled_units(self, node: Instance) -> None:
        directory = self._node(node)
        enabled, output = directory / "enabled-units", directory / "boot.log"
        for unit in enabled.read_text().split() if enabled.exists() else []:
            command = [str(self.shims / "systemctl"), "start", unit]
            processes.start(command, self._environment(node), directory, output, output)

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
        units = directory / "systemd"
        units.mkdir(exist_ok=True)
        places = {"/opt/fruits": self._opt(node), "/mnt/var/lib/info": info, "/etc/systemd/system": units}
        for place, local in places.items():
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
