"""What an emulator's clusters share, and what they are made of: instances and steps."""

import os
import secrets
import string
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from spark_steps.spark.session import find_java_home
from tests.emr_emulator import processes
from tests.emr_emulator.spark import SMALL_JAVA

ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")


STEP_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED")


ACCOUNT = "123456789012"


def new_id(prefix: str, length: int = 13) -> str:
    """Returns an id in EMR's form, such as ``j-2AXXXXXXGAPLF``."""
    return prefix + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(length))


class Clock:
    """A clock that runs faster than the time of day, and may change its speed; nodes read it from a file.

    The times that the emulator tells are those of day. What its clock decides is when something has lasted long enough.
    """

    def __init__(self, file: Path, speed: float) -> None:
        self.file = file
        self._changes: list[tuple[float, float]] = []
        self.set_speed(speed, at=0.0)

    def set_speed(self, speed: float, at: float | None = None) -> None:
        """Runs by so much faster from now on."""
        self._changes.append((time.time() if at is None else at, speed))
        new = self.file.with_suffix(".new")
        new.write_text("".join(f"{moment:.3f} {speed}\n" for moment, speed in self._changes))
        new.rename(self.file)

    def elapsed(self, since: float, until: float | None = None) -> float:
        """Returns the seconds that it has counted between two times of day, the second being now if it is not given."""
        end = time.time() if until is None else until
        ends = [moment for moment, _ in self._changes[1:]] + [end]
        spans = zip(self._changes, ends, strict=True)
        return sum(max(0.0, min(stop, end) - max(start, since)) * speed for (start, speed), stop in spans)


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
    clock: Clock
    log_seconds: float = 300.0
    with_spark: bool = True
    # Of each step, and so many workers has a cluster.
    executors: int = 2
    # Their tasks run in the driver's process.
    in_driver: bool = False
    # Spot instances that a cluster can have.
    spot_capacity: int = 1_000
    # Cancelled steps go on until it is false again.
    holds_cancels: bool = False

    def master(self, executors: int) -> str:
        """Returns the URL of Spark's master for a job with so many executors of its own."""
        return f"local[{executors}]" if self.in_driver else f"local-cluster[{executors},1,1024]"

    def spark_environment(self, directory: Path) -> dict[str, str]:
        """Returns what every process of Spark's finds in its environment; nothing of this process's own.

        Args:
            directory: Its home, with a folder for temporary files.
        """
        java, spark = str(find_java_home()), str(self.spark_home)
        return {
            "PATH": f"{java}/bin:{spark}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "USER": "hadoop",
            "LANG": "C.UTF-8",
            "TMPDIR": str(directory / "tmp"),
            "JAVA_HOME": java,
            "SPARK_HOME": spark,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(directory / "tmp"),
            "SPARK_LAUNCHER_OPTS": SMALL_JAVA,
            "SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={directory / 'tmp'}",
        }

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


@dataclass(eq=False)
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


def groups_of(instances: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the instance groups of a request, from any of the ways to ask for them; a fleet is a group here."""
    if fleets := instances.get("InstanceFleets"):
        return [_group_of(fleet) for fleet in fleets]
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


def _group_of(fleet: dict[str, Any]) -> dict[str, Any]:
    spot = int(fleet.get("TargetSpotCapacity", 0))
    return {
        "Id": new_id("if-"),
        "Name": fleet.get("Name", fleet["InstanceFleetType"].capitalize()),
        "InstanceRole": fleet["InstanceFleetType"],
        "InstanceType": fleet["InstanceTypeConfigs"][0]["InstanceType"],
        "InstanceCount": spot + int(fleet.get("TargetOnDemandCapacity", 0)),
        "Market": "SPOT" if spot else "ON_DEMAND",
        "SpotSpecification": fleet.get("LaunchSpecifications", {}).get("SpotSpecification", {}),
    }


def end_everything(world: World) -> None:
    """Ends every process of every cluster."""
    processes.kill({processes.EMULATOR: world.emulator})


def new_emulator_id() -> str:
    """Returns a mark that no other emulator has."""
    return f"{os.getpid()}-{secrets.token_hex(8)}"
