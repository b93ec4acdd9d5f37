"""What a job run asks for, and the spark-submit that it becomes on this machine."""

import itertools
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.emr_emulator.cluster.world import World
from tests.emr_emulator.spark import interpreter, java_options, link, rewrite_command, spark_defaults

if TYPE_CHECKING:
    from tests.emr_emulator.serverless.job import JobRun

_DRIVER_ENVIRONMENT, _EXECUTOR_ENVIRONMENT = "spark.emr-serverless.driverEnv.", "spark.executorEnv."
# What the service takes where a job says nothing: Spark's own bound on executors is none.
_DEFAULTS = {
    "spark.driver.cores": "4",
    "spark.driver.memory": "14g",
    "spark.executor.cores": "4",
    "spark.executor.memory": "14g",
    "spark.dynamicAllocation.maxExecutors": "1000000",
}


@dataclass(frozen=True)
class Plan:
    """What a job run asks for.

    Attributes:
        conf: Spark's settings.
        archive: The environment, ``s3://...``; empty where there is none.
        folder: The name under which workers unpack it.
        entry: The entry point and its arguments.
        driver: vCPUs and gigabytes of the driver.
        executor: The same of an executor.
        max_executors: The most executors.
    """

    conf: dict[str, str]
    archive: str
    folder: str
    entry: list[str]
    driver: tuple[int, int]
    executor: tuple[int, int]
    max_executors: int

    def command(self, job: "JobRun") -> tuple[list[str], dict[str, str]]:
        """Returns the command and its environment.

        Args:
            job: The job run.
        """
        world, work = job.world, job.directory / "work"
        place = {f"./{self.folder}/": f"{work / self.folder}/"} if self.folder else {}
        conf = {name: _replaced(value, place) for name, value in self.conf.items()}
        of_driver = {
            name.removeprefix(_DRIVER_ENVIRONMENT): value
            for name, value in conf.items()
            if name.startswith(_DRIVER_ENVIRONMENT)
        }
        given = [
            word
            for name, value in conf.items()
            if not name.startswith(_DRIVER_ENVIRONMENT) and name != "spark.archives"
            for word in ("--conf", f"{name}={value}")
        ]
        defaults = job.directory / "spark-defaults.conf"
        java = java_options(world.spark_home)
        defaults.write_text(spark_defaults(world.endpoint, job.region, job.id, java, world.executors))
        master = world.master(min(world.executors, self.max_executors))
        submit = [str(world.spark_home / "bin" / "spark-submit"), "--master", master]
        command = rewrite_command(
            [*submit, "--properties-file", str(defaults), *given, *self.entry], world.spark_home, master, work
        )
        # Without an interpreter of its own a driver has the service's, which has none of the packages.
        own = {"PYSPARK_PYTHON": str(interpreter())}
        credentials = {**job.credentials, "AWS_ENDPOINT_URL": world.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
        return command, {**world.spark_environment(job.directory), **credentials, **own, **of_driver, **job.marks}


def read_plan(request: dict[str, Any]) -> Plan:
    """Reads the request of StartJobRun."""
    submit = request["jobDriver"]["sparkSubmit"]
    words = shlex.split(submit.get("sparkSubmitParameters", ""))
    pairs = [after.partition("=") for before, after in itertools.pairwise(words) if before == "--conf"]
    conf = {name: value for name, _, value in pairs}
    archive, _, folder = conf.get("spark.archives", "").partition("#")
    asked = {**_DEFAULTS, **conf}
    return Plan(
        conf=conf,
        archive=archive,
        folder=folder,
        entry=[submit["entryPoint"], *submit.get("entryPointArguments", [])],
        driver=_size(asked, "driver"),
        executor=_size(asked, "executor"),
        max_executors=int(asked["spark.dynamicAllocation.maxExecutors"]),
    )


def _size(conf: dict[str, str], of: str) -> tuple[int, int]:
    heap = _gigabytes(conf[f"spark.{of}.memory"])
    overhead = conf.get(f"spark.{of}.memoryOverhead")
    total = heap + (_gigabytes(overhead) if overhead else max(0.384, heap / 10))
    return int(conf[f"spark.{of}.cores"]), -int(-total // 1)


def _gigabytes(size: str) -> float:
    return float(size[:-1]) / (1024 if size[-1] == "m" else 1)


def _replaced(value: str, places: dict[str, str]) -> str:
    for place, local in places.items():
        value = value.replace(place, local)
    return value


def unpack_environment(
    archive: str, folder: str, world: World, region: str, credentials: dict[str, str], directory: Path
) -> None:
    """Fetches the environment with the job's own rights, and unpacks it where the driver starts.

    Workers of the service unpack it in their working directories too; here they are of one machine, and take this one.

    Args:
        archive: ``s3://...``; empty where there is none.
        folder: The name under which workers unpack it.
        world: Of the emulator.
        region: Of the job.
        credentials: Of the job's role.
        directory: Of the job.
    """
    if not archive:
        return
    bucket, _, key = archive.removeprefix("s3://").partition("/")
    packed, work = directory / "environment.tar.gz", directory / "work"
    work.mkdir(exist_ok=True)
    world.client("s3", region, credentials).download_file(bucket, key, str(packed))
    if world.stand_in is not None:
        # The archive is a file of a few bytes then.
        link(work / folder, world.stand_in)
        return
    (work / folder).mkdir()
    subprocess.run(["tar", "--extract", "--gzip", "--file", packed, "--directory", work / folder], check=True)
    packed.unlink()
