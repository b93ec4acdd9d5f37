"""One job run: its states, its processes, its logs and what it is billed."""

import gzip
import logging
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.life import last_exception
from tests.emr_emulator.cluster.world import World
from tests.emr_emulator.serverless.command import Plan, read_plan, unpack_environment

log = logging.getLogger("emr_emulator")

OVER = ("SUCCESS", "FAILED", "CANCELLED")
_STATE_DETAILS = 256


@dataclass(eq=False)
class JobRun:
    """A job run of an application; a thread walks it through its states.

    Attributes:
        world: Of the emulator.
        region: Of its application.
        id: Its id.
        application: Id of its application.
        request: Of StartJobRun.
    """

    world: World
    region: str
    id: str
    application: str
    request: dict[str, Any]
    state: str = "SUBMITTED"
    details: str = ""
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    executors: int = 0
    cancelled: bool = False
    plan: Plan | None = None
    credentials: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def directory(self) -> Path:
        """For its files."""
        return self.world.directory / "jobs" / self.id

    @property
    def marks(self) -> dict[str, str]:
        """What the environment of its processes has."""
        return {processes.EMULATOR: self.world.emulator, processes.STEP: self.id}

    @property
    def seconds(self) -> float:
        """How long its workers have been there."""
        return 0.0 if self.started is None else (self.ended or time.time()) - self.started

    def become(self, state: str, details: str = "") -> None:
        """Enters a state, unless it is over."""
        with self.lock:
            if self.state in OVER:
                return
            log.info("%s %s -> %s %s", self.id, self.state, state, details)
            self.state, self.updated = state, time.time()
            self.details = details[:_STATE_DETAILS]
            if state == "RUNNING":
                self.started = time.time()
            if state in OVER:
                self.ended = time.time()

    def cancel(self) -> None:
        """Asks for its end, which comes later."""
        with self.lock:
            self.cancelled = True
            self.become("CANCELLING")

    def used(self) -> dict[str, float]:
        """Returns vCPU- and gigabyte-hours: a minute at least of each worker that was there."""
        if self.started is None or self.plan is None:
            return {"vCPUHour": 0.0, "memoryGBHour": 0.0, "storageGBHour": 0.0}
        hours = max(60.0, self.seconds) / 3600
        driver, executor = self.plan.driver, self.plan.executor
        return {
            "vCPUHour": round(hours * (driver[0] + self.executors * executor[0]), 6),
            "memoryGBHour": round(hours * (driver[1] + self.executors * executor[1]), 6),
            "storageGBHour": 0.0,
        }

    def run(self, startup_seconds: float) -> None:
        """Walks through its life, in a thread of its own.

        Args:
            startup_seconds: How long workers take to be ready.
        """
        try:
            self._prepare(startup_seconds)
            if self.state not in OVER and not self.cancelled:
                self._submit()
        except Exception as error:
            log.exception("%s failed", self.id)
            self.become("FAILED", f"The emulator failed: {error!r}")
        if self.cancelled:
            self.become("CANCELLED", "Job run was cancelled by user")

    def _prepare(self, startup_seconds: float) -> None:
        (self.directory / "tmp").mkdir(parents=True)
        for state in ("PENDING", "SCHEDULED"):
            if not self.cancelled:
                self.become(state)
                self._wait(startup_seconds / 2)
        self.plan = read_plan(self.request)
        answer = self.world.client("sts", self.region).assume_role(
            RoleArn=self.request["executionRoleArn"], RoleSessionName=self.id
        )["Credentials"]
        self.credentials = {
            "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["SessionToken"],
        }

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.cancelled:
            time.sleep(0.05)

    def _submit(self) -> None:
        assert self.plan is not None
        try:
            unpack_environment(
                self.plan.archive, self.plan.folder, self.world, self.region, self.credentials, self.directory
            )
        except (ClientError, BotoCoreError) as error:
            self.become("FAILED", f"Job failed: java.io.FileNotFoundException: {self.plan.archive}: {error}")
            return
        command, environment = self.plan.command(self)
        files = {name: self.directory / name for name in ("stdout", "stderr")}
        for file in files.values():
            file.touch()
        work = self.directory / "work"
        work.mkdir(exist_ok=True)
        self.executors = min(self.world.executors, self.plan.max_executors)
        self.become("RUNNING")
        process = processes.start(command, environment, work, files["stdout"], files["stderr"])
        timed_out = self._follow(process)
        processes.kill(self.marks)
        code = process.returncode
        self._push_logs(files)
        if self.cancelled:
            return
        if timed_out:
            # The service model says that it cancels such a job; the words are the emulator's own.
            self.become("CANCELLED", f"Job run timed out after {self.request['executionTimeoutMinutes']} minutes")
        elif code == 0:
            self.become("SUCCESS")
        else:
            code = 128 - code if code < 0 else code
            exceptions = last_exception(files["stderr"].read_text(errors="replace"))
            where = "Job failed, please check complete logs in configured logging destination."
            self.become("FAILED", f"{where} ExitCode: {code}. Last few exceptions: {exceptions}")

    def _follow(self, process: Any) -> bool:
        """Waits for the end of its driver, and returns whether its time was up before."""
        limit = 60.0 * int(self.request.get("executionTimeoutMinutes", 720))
        timed_out = False
        while process.poll() is None:
            timed_out = timed_out or self.world.clock.elapsed(self.started or time.time()) > limit
            if self.cancelled or timed_out:
                processes.kill(self.marks)
            time.sleep(0.05)
        return timed_out

    def _push_logs(self, files: dict[str, Path]) -> None:
        """Writes its logs under its own role, as the service does."""
        monitoring = self.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
        uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri", "")
        if not uri:
            return
        bucket, _, prefix = re.sub(r"^s3[an]?://", "", uri).partition("/")
        folder = f"{prefix.rstrip('/')}/applications/{self.application}/jobs/{self.id}/SPARK_DRIVER"
        s3 = self.world.client("s3", self.region, self.credentials)
        for name, file in files.items():
            try:
                body = gzip.compress(file.read_bytes(), 1)
                s3.put_object(Bucket=bucket, Key=f"{folder}/{name}.gz", Body=body)
            except (ClientError, BotoCoreError) as error:
                log.warning("%s cannot write its log %s: %s", self.id, name, error)
