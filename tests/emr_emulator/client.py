"""The emulator as tests use it: a process of its own, and what can be asked of it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tests.support.project import PROJECT

REGION = "eu-west-3"
# Of the emulated workspace of Databricks.
TOKEN = "dapi-of-the-emulator"  # noqa: S105


class Emulator:
    """AWS on this machine: EMR that runs steps, Scheduler that fires; S3, IAM, STS, CloudFormation... by moto."""

    def __init__(self, process: "subprocess.Popen[bytes]", endpoint: str, directory: Path) -> None:
        self.process = process
        self.endpoint = endpoint
        self.directory = directory

    @classmethod
    def start(
        cls,
        directory: Path,
        startup_seconds: float = 1.0,
        clock_speed: float = 1.0,
        environment: Literal["venv", "archive"] = "venv",
        stack: bool = False,
        log_seconds: float = 300.0,
        with_spark: bool = True,
        executors: int = 2,
        in_driver: bool = False,
    ) -> "Emulator":
        """Starts an emulator and waits until it answers.

        Args:
            directory: For its clusters, nodes and logs (``emulator.log``).
            startup_seconds: How long a cluster takes to be ready, besides Spark's own start.
            clock_speed: By how much idle timeouts and timers of bootstrap actions run faster.
            environment: ``venv`` has this project's packages stand in for the archive of the environment.
            stack: Makes the stack of infra/fruits.yaml.
            log_seconds: How often the logs of steps are uploaded, by the emulator's clock; 300 is EMR's.
            with_spark: Without it clusters have no Spark, and of their nodes the master alone is there.
            executors: How many processes run the tasks of a step.
            in_driver: Whether the driver's own process runs them, which starts sooner, for tests that are not about
                executors.
        """
        directory.mkdir(parents=True, exist_ok=True)
        output, log = directory / "emulator.out", directory / "emulator.log"
        options = ["--startup-seconds", str(startup_seconds), "--clock-speed", str(clock_speed)]
        options += ["--log-seconds", str(log_seconds), *([] if with_spark else ["--without-spark"])]
        options += ["--executors", str(executors), *(["--in-driver"] if in_driver else [])]
        command = [sys.executable, "-m", "tests.emr_emulator", "--directory", str(directory), *options]
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FRUITS_"))}
        with output.open("wb") as out, log.open("wb") as err:
            process = subprocess.Popen(
                [*command, "--environment", environment, *(["--stack"] if stack else [])],
                cwd=PROJECT, env=clean, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        # The first start on a machine fetches the jars of S3A.
        until = time.monotonic() + 600
        while time.monotonic() < until:
            if output.read_text().endswith("}\n"):
                return cls(process, json.loads(output.read_text())["endpoint"], directory)
            if process.poll() is not None:
                raise RuntimeError(f"the emulator did not start: {log.read_text()[-3000:]}")
            time.sleep(0.05)
        process.terminate()
        raise RuntimeError(f"the emulator did not start in time: {log.read_text()[-3000:]}")

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment to meet the emulator instead of AWS."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def workspace_environ(self) -> dict[str, str]:
        """What a process needs besides to meet the emulated workspace of Databricks."""
        return {"DATABRICKS_HOST": self.endpoint, "DATABRICKS_TOKEN": TOKEN}

    @property
    def root_environ(self) -> dict[str, str]:
        """The same with a key that may do everything, also while permissions are enforced."""
        return {**self.environ, "AWS_ACCESS_KEY_ID": self._root_key}

    @cached_property
    def _root_key(self) -> str:
        return str(self._ask("root")["key"])

    def client(self, service: Any, region: str = REGION, environ: dict[str, str] | None = None) -> Any:
        """Returns a boto3 client of the emulator.

        Args:
            service: Such as ``emr``.
            region: Of the client.
            environ: Whose credentials it uses; those of root if not given.
        """
        import boto3

        known = environ or self.root_environ
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=known["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=known.get("AWS_SESSION_TOKEN"),
        )

    def environ_of_role(self, role_arn: str) -> dict[str, str]:
        """Returns the environment of a process that works under a role."""
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return {
            **self.environ,
            "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["SessionToken"],
        }

    def throttle(self, action: str, times: int) -> None:
        """Has the next calls of an action answered with throttling (``DescribeStep``, ``s3:PutObject``)."""
        self._ask("throttle", action=action, times=times)

    def lose_node(self, cluster: str, role: Literal["core", "master"]) -> None:
        """Loses a node: a core node is replaced, without its master a cluster ends."""
        self._ask("lose-node", cluster=cluster, role=role)

    def reboot(self, cluster: str) -> None:
        """Restarts the machine of a cluster's master."""
        self._ask("reboot", cluster=cluster)

    def set_spot_capacity(self, instances: int) -> None:
        """Sets how many Spot instances a cluster can have."""
        self._ask("spot-capacity", instances=instances)

    def hold_cancels(self, on: bool) -> None:
        """Has cancelled steps stay CANCEL_PENDING, until it is turned off."""
        self._ask("hold-cancels", on=on)

    def give_clusters_spark(self, on: bool) -> None:
        """Has clusters that are created from now on have Spark, or a master alone that has none."""
        self._ask("give-clusters-spark", on=on)

    def run_in_driver(self, on: bool) -> None:
        """Has new jobs and new clusters run their tasks in the driver, or in executors of their own."""
        self._ask("run-in-driver", on=on)

    def set_clock_speed(self, speed: float) -> None:
        """Runs the clock by so much faster from now on."""
        self._ask("set-clock-speed", speed=speed)

    def age(self, cluster: str, days: float) -> None:
        """Moves a cluster, its instances and its steps into the past."""
        self._ask("age", cluster=cluster, days=days)

    def kill_step(self, step: str, what: Literal["driver", "executor", "python"], signal: int = 9) -> list[int]:
        """Really kills a step's driver, its executors, or the executors' Python workers; returns their process ids."""
        killed: list[int] = self._ask("kill-step", step=step, what=what, signal=signal)["killed"]
        return killed

    def bill_after(self, seconds: float) -> None:
        """Has jobs of EMR Serverless billed so long after their end."""
        self._ask("billing-seconds", seconds=seconds)

    def move_workspace(self, region: str) -> None:
        """Has the workspace of Databricks lie in another region."""
        self._ask("workspace-region", region=region)

    def keep_busy(self, cluster: str, busy: bool = True) -> None:
        """Has a live notebook keep a cluster from counting as idle."""
        self._ask("keep-busy", cluster=cluster, busy=busy)

    def enforce_iam(self, on: bool) -> None:
        """Turns the checks of permissions on or off, for all services."""
        self._ask("enforce-iam", on=on)

    def asked(self) -> list[tuple[str, str, str]]:
        """Returns which role was asked for which action on which resource since the last time, where it is enforced."""
        return [(role, action, resource) for role, action, resource in self._ask("asked")["asked"]]

    def fired(self) -> dict[str, str]:
        """Returns the schedules that have made their call, each with the error, or nothing."""
        fired: dict[str, str] = self.state()["fired"]
        return fired

    def state(self) -> dict[str, Any]:
        """Returns clusters, jobs of other services, their living processes, and the number of calls of each action."""
        return self._ask("state")

    def stop(self) -> None:
        """Ends the emulator and every process of its clusters."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ask(self, name: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.endpoint}/emulator/{name}", json.dumps(body).encode())  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                content: dict[str, Any] = json.loads(answer.read())
                return content
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"/emulator/{name}: {error.read().decode()}") from error
