"""One run of a Glue job: its states, its processes, its logs and what it is billed."""

import logging
import secrets
import shlex
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.life import last_exception
from tests.emr_emulator.cluster.world import World
from tests.emr_emulator.serverless.command import unpack_environment
from tests.emr_emulator.spark import interpreter, java_options, rewrite_command, spark_defaults

log = logging.getLogger("emr_emulator")

OVER = ("SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED")
DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}
# Where a worker unpacks the environment. The name is the emulator's own.
_FOLDER = "environment"
# Glue's, not Spark's or the script's.
_OF_GLUE = {"--scriptLocation", "--extra-py-files", "--python-virtual-env", "--conf"}
_EVENTS_AT_A_TIME, _EVENT_CHARACTERS = 500, 200_000


@dataclass(eq=False)
class GlueRun:
    """A run of a job; a thread walks it through its states.

    Attributes:
        world: Of the emulator.
        region: Of its job.
        job: Name of its job.
        role: ARN of its job's role.
        request: Of StartJobRun, with what the job gives where it says nothing.
    """

    world: World
    region: str
    job: str
    role: str
    request: dict[str, Any]
    id: str = field(default_factory=lambda: f"jr_{secrets.token_hex(32)}")
    state: str = "STARTING"
    message: str = ""
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    stopped: bool = False
    credentials: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def arguments(self) -> dict[str, str]:
        """Those of the job, and before them those of the run."""
        return dict(self.request["Arguments"])

    @property
    def directory(self) -> Path:
        """For its files."""
        return self.world.directory / "runs" / self.id

    @property
    def marks(self) -> dict[str, str]:
        """What the environment of its processes has."""
        return {processes.EMULATOR: self.world.emulator, processes.STEP: self.id}

    @property
    def executors(self) -> int:
        """Executors that it has: a worker less than it asks for, and no more than this machine can bear."""
        return min(self.world.executors, int(self.request["NumberOfWorkers"]) - 1)

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return 0.0 if self.started is None else (self.ended or time.time()) - self.started

    @property
    def dpu_seconds(self) -> float:
        """What it is billed: a minute at least of the driver's worker and of each executor's."""
        dpus = (1 + self.executors) * DPUS[self.request["WorkerType"]]
        return 0.0 if self.started is None else max(60.0, self.seconds) * dpus

    def become(self, state: str, message: str = "") -> None:
        """Enters a state, unless it is over."""
        with self.lock:
            if self.state in OVER:
                return
            log.info("%s %s -> %s %s", self.id, self.state, state, message)
            self.state, self.updated, self.message = state, time.time(), message
            if state == "RUNNING":
                self.started = time.time()
            if state in OVER:
                self.ended = time.time()

    def stop(self) -> None:
        """Asks for its end, which comes later."""
        with self.lock:
            self.stopped = True
            self.become("STOPPING")

    def run(self, startup_seconds: float) -> None:
        """Walks through its life, in a thread of its own.

        Args:
            startup_seconds: How long workers take to be ready.
        """
        try:
            (self.directory / "tmp").mkdir(parents=True)
            self._wait(startup_seconds)
            if not self.stopped:
                self._submit()
        except Exception as error:
            log.exception("%s failed", self.id)
            self.become("ERROR", f"The emulator failed: {error!r}")
        if self.stopped:
            self.become("STOPPED")

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stopped:
            time.sleep(0.05)

    def _submit(self) -> None:
        self._assume_role()
        work = self.directory / "work"
        work.mkdir()
        archive = self.arguments.get("--python-virtual-env", "")
        try:
            unpack_environment(archive, _FOLDER, self.world, self.region, self.credentials, self.directory)
        except (ClientError, BotoCoreError) as error:
            self.become("FAILED", f"LAUNCH ERROR | {archive} cannot be fetched, or does not exist: {error}")
            return
        files = {name: self.directory / name for name in ("stdout", "stderr")}
        for file in files.values():
            file.touch()
        command, environment = self._command(work if archive else None)
        self.become("RUNNING")
        process = processes.start(command, environment, work, files["stdout"], files["stderr"])
        timed_out = self._follow(process)
        processes.kill(self.marks)
        self._write_logs(files)
        code = process.returncode
        if timed_out:
            self.become("TIMEOUT", "Job run exceeded its timeout")
        elif code == 0:
            self.become("SUCCEEDED")
        elif not self.stopped:
            # Of a process that a signal ended, a shell says 128 and the signal.
            told = f"Command failed with exit code {128 - code if code < 0 else code}"
            exception = last_exception(files["stderr"].read_text(errors="replace"))
            self.become("FAILED", f"{told}. {exception}" if exception else told)

    def _assume_role(self) -> None:
        answer = self.world.client("sts", self.region).assume_role(RoleArn=self.role, RoleSessionName="GlueJobRunner")
        given = answer["Credentials"]
        self.credentials = {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def _command(self, work: Path | None) -> tuple[list[str], dict[str, str]]:
        """Returns the spark-submit that stands for it, and its environment.

        Args:
            work: Where the environment is unpacked, None where there is none.
        """
        world, arguments = self.world, self.arguments
        defaults = self.directory / "spark-defaults.conf"
        defaults.write_text(
            spark_defaults(world.endpoint, self.region, self.id, java_options(world.spark_home), world.executors)
        )
        master = world.master(self.executors)
        python = str(work / _FOLDER / "bin" / "python" if work else interpreter())
        given = shlex.split(f"--conf {arguments['--conf']}") if "--conf" in arguments else []
        files = ["--py-files", arguments["--extra-py-files"]] if "--extra-py-files" in arguments else []
        named = {"--JOB_ID": "j_1", "--JOB_RUN_ID": self.id, "--JOB_NAME": self.job}
        others = {name: value for name, value in arguments.items() if name not in _OF_GLUE}
        words = [word for pair in {**named, **others}.items() for word in pair]
        submit = [str(world.spark_home / "bin" / "spark-submit"), "--master", master]
        submit += ["--properties-file", str(defaults), *given, *files, arguments["--scriptLocation"], *words]
        command = rewrite_command(submit, world.spark_home, master, self.directory)
        return command, {
            **world.spark_environment(self.directory),
            **self.credentials,
            "AWS_ENDPOINT_URL": world.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            **self.marks,
        }

    def _follow(self, process: Any) -> bool:
        """Waits for the end of its driver, and returns whether its time was up before."""
        limit, timed_out = 60.0 * int(self.request["Timeout"]), False
        while process.poll() is None:
            timed_out = timed_out or self.world.clock.elapsed(self.started or time.time()) > limit
            if self.stopped or timed_out:
                processes.kill(self.marks)
            time.sleep(0.05)
        return timed_out

    def _write_logs(self, files: dict[str, Path]) -> None:
        """Writes its driver's logs to CloudWatch under its own role, as Glue does: into groups that are there."""
        prefix = self.arguments.get("--custom-logGroup-prefix", "/aws-glue/jobs")
        cloudwatch = self.world.client("logs", self.region, self.credentials)
        for name, group in (("stdout", f"{prefix}/output"), ("stderr", f"{prefix}/error")):
            try:
                stream = f"{self.id}-driver"
                cloudwatch.create_log_stream(logGroupName=group, logStreamName=stream)
                for events in _events(files[name]):
                    cloudwatch.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
            except (ClientError, BotoCoreError) as error:
                log.warning("%s cannot write its log %s: %s", self.id, group, error)


def _events(file: Path) -> Iterator[list[dict[str, Any]]]:
    """Yields the lines of a log, so many at a time."""
    now = int(time.time() * 1000)
    lines = [line[:_EVENT_CHARACTERS] for line in file.read_text(errors="replace").splitlines() if line]
    for begin in range(0, len(lines), _EVENTS_AT_A_TIME):
        yield [{"timestamp": now, "message": line} for line in lines[begin : begin + _EVENTS_AT_A_TIME]]
