"""Clusters that go through EMR's states and run their steps on a Spark standalone cluster of this machine."""

import json
import logging
import re
import subprocess
import threading
import time
from pathlib import Path

from tests.emr_emulator import processes
from tests.emr_emulator.cluster.nodes import Nodes
from tests.emr_emulator.cluster.world import STEP_ENDED, Instance, Step
from tests.emr_emulator.spark import java_options, link, rewrite_command, spark_defaults

log = logging.getLogger("emr_emulator")


class Cluster(Nodes):
    """One cluster: a thread walks it through its states, another runs each step."""

    def start(self) -> None:
        """Begins its life, in a thread of its own."""
        threading.Thread(target=self._live, name=self.id, daemon=True).start()

    def _live(self) -> None:
        try:
            self._start_up()
            while not self.ending:
                self._advance()
                self._push_due_logs()
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
        self._wait_for_spot()
        if self.ending:
            return
        self._provision()
        with self.lock:
            for instance in self.instances:
                instance.become("BOOTSTRAPPING")
        self.become("BOOTSTRAPPING")
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

    def _wait_for_spot(self) -> None:
        """Waits for Spot instances: a group for ever, a fleet until its timeout."""
        while not self.ending and (unfilled := [group for group in self.groups if self._is_unfilled(group)]):
            time.sleep(0.05)
            for group in unfilled:
                specification = group.get("SpotSpecification", {})
                minutes = specification.get("TimeoutDurationMinutes", float("inf"))
                if self.world.clock.elapsed(self.created) < minutes * 60:
                    continue
                if specification["TimeoutAction"] == "SWITCH_TO_ON_DEMAND":
                    group["Market"] = "ON_DEMAND"
                else:
                    # The code is that of EMR's service model; the message is the emulator's own.
                    message = f"The fleet {group['Id']} did not get its Spot capacity within {minutes} minutes"
                    self.end("TERMINATED_WITH_ERRORS", "INSTANCE_FLEET_TIMEOUT", message)

    def _advance(self) -> None:
        """Starts what can start, and ends what has waited long enough."""
        with self.lock:
            running = [step for step in self.steps if step.started and step.state not in STEP_ENDED]
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
            # EMR counts applications of YARN and not the steps themselves.
            active = self.busy or pending or any(Path(step.args[0]).name == "spark-submit" for step in running)
            self.idle_since = None if active else self.idle_since or time.time()
            if idle_timeout and self.idle_since:
                idle = self.world.clock.elapsed(self.idle_since)
                if idle >= idle_timeout:
                    self.end("TERMINATED", "USER_REQUEST", "Auto-terminated: the cluster was idle for too long")

    def _shut_down(self) -> None:
        state, code, message = self.ending or ("TERMINATED", "USER_REQUEST", "Terminated by user request")
        self.become("TERMINATING", code, message)
        with self.lock:
            running = [step for step in self.steps if step.state in ("RUNNING", "CANCEL_PENDING")]
            for step in self.steps:
                if step.state not in STEP_ENDED and not step.started:
                    self._end_step(step, "CANCELLED", "Job terminated")
        processes.kill(self.marks)
        until = time.monotonic() + 15
        while any(step.state not in STEP_ENDED for step in running) and time.monotonic() < until:
            time.sleep(0.05)
        self._push_all_logs()
        with self.lock:
            for instance in self.instances:
                if instance.state != "TERMINATED":
                    instance.become("TERMINATED", "CLUSTER_TERMINATED", "Job flow terminated")
        self.become(state, code, message)

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
        if self.workers:
            self._start_worker(new)
        new.become("RUNNING")

    def reboot(self, instance: Instance) -> None:
        """Restarts a node's machine: what ran there is gone, and systemd starts the units that are enabled."""
        log.info("%s reboots its %s node %s", self.id, instance.role, instance.id)
        processes.kill({**self.marks, processes.NODE: instance.id})
        self._wait(self.world.startup_seconds)
        self._start_enabled_units(instance)

    def _prepare_step(self, step: Step, files: dict[str, Path]) -> tuple[list[str], dict[str, str]]:
        """Returns the command that a step's own stands for, and its environment."""
        directory = self.directory / "steps" / step.id
        (directory / "conf").mkdir(parents=True)
        (directory / "conf" / "spark-defaults.conf").write_text(
            spark_defaults(
                self.world.endpoint, self.region, step.id, java_options(self.world.spark_home), self.world.executors
            )
        )
        node = next(one for one in self.instances if one.role == "MASTER")
        if Path(step.args[0]).name == "spark-submit":
            self._start_spark()
        # One path for driver and executors, as they have one machine: that of the master's own environment.
        command = rewrite_command(step.args, self.world.spark_home, self.master, self._opt(node))
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
        return command, environment

    def _run_step(self, step: Step) -> None:
        directory = self.directory / "steps" / step.id
        files = {name: directory / name for name in ("stdout", "stderr", "controller")}
        work = directory / "work"
        work.mkdir(parents=True)
        for file in files.values():
            file.touch()
        self.unpushed[step] = files
        try:
            command, environment = self._prepare_step(step, files)
            process = processes.start(command, environment, work, files["stdout"], files["stderr"])
            code = self._follow(step, process)
        except (OSError, RuntimeError) as error:
            files["stderr"].write_text(f"Exception in thread main java.lang.RuntimeException: {error}\n")
            code = 127
        processes.kill({**self.marks, processes.STEP: step.id})
        with files["controller"].open("a") as controller:
            # Of a process that a signal ended, the step runner's shell says 128 and the signal.
            controller.write(f"INFO waitProcessCompletion ended with exit code {128 - code if code < 0 else code}\n")
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

    def _follow(self, step: Step, process: "subprocess.Popen[bytes]") -> int:
        while process.poll() is None:
            if self.ending and not step.cancelled:
                processes.kill({**self.marks, processes.STEP: step.id})
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
            if step.state not in ("PENDING", "RUNNING"):
                return f"Cannot cancel step {step.id}: it is {step.state}."
            step.cancelled, step.state = True, "CANCEL_PENDING"
        threading.Thread(target=self._interrupt, args=(step, option), daemon=True).start()
        return ""

    def _interrupt(self, step: Step, option: str) -> None:
        marks = {**self.marks, processes.STEP: step.id}
        time.sleep(0.3)
        while self.world.holds_cancels and not self.ending:
            time.sleep(0.05)
        with self.lock:
            if not step.started and step.state not in STEP_ENDED:
                self._end_step(step, "CANCELLED", "Cancelled by user")
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


def last_exception(stderr: str) -> str:
    """Returns the last line of a step's stderr that names an exception, which is what EMR shows of it."""
    pattern = re.compile(
        r"^(?:Caused by: |Exception in thread .*|(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Interrupt)\b.*)"
    )
    lines = [line.strip() for line in stderr.splitlines()]
    found = [line for line in lines if pattern.match(line)]
    return found[-1][:1000] if found else ""
