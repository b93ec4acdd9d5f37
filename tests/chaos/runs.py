"""``fruits run`` in a process of its own, with a fault at a moment of its work that is drawn by lot."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.emr_emulator.processes import kill, kill_these, living

MARK = "FRUITS_CHAOS_RUN"
DEADLINE_SECONDS = 300
# What a run says on its way, in its order; and what comes to be below a store meanwhile.
MOMENTS = (
    "photos in",
    "photos to features",
    "raw_images:",
    "mobilenet_features:",
    "features to a PCA model",
    "pca_model:",
    "features to reduced features",
    "Results/raw_images/*.parquet",
    "Results/raw_images/_delta_log/*.json",
    "Results/mobilenet_features/*.parquet",
    "Results/mobilenet_features/_delta_log/*.json",
    "PCA_Results/pca_model/*/pipeline",
    "PCA_Results/reduced_features/*.parquet",
    "PCA_Results/reduced_features/_delta_log/*.json",
)
LIMITED_BYTES = (2_000, 20_000, 200_000, 2_000_000)
# What a run says that may not write so much: in its own words, or in those of a task or of Java.
DISK_FULL = "disk is full|disk I/O error|File too large"


@dataclass
class Run:
    """A ``fruits run`` and all processes it starts.

    Attributes:
        images: The images root.
        store: The store.
        home: Of Dagster.
        weights: Of the network.
        environment: More of the environment.
        most_bytes: Largest file that it may write; None for any.
        watch: Called again and again while it runs.
    """

    images: Path | str
    store: Path | str
    home: Path
    weights: Path | str
    environment: Mapping[str, str] = field(default_factory=dict)
    most_bytes: int | None = None
    watch: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.marks = {MARK: uuid.uuid4().hex}
        self.home.mkdir(parents=True, exist_ok=True)
        self._told = self.home / f"{self.marks[MARK]}.txt"
        command = [str(Path(sys.executable).parent / "fruits"), "run", "--images", str(self.images)]
        with self._told.open("wb") as told:
            self.process = subprocess.Popen(
                [*command, "--store", str(self.store), "--weights", str(self.weights), "--components", "3"],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "DAGSTER_HOME": str(self.home),
                    "FRUITS_CORES": "2",
                    **self.environment,
                    **self.marks,
                },
                preexec_fn=self._limit if self.most_bytes else None,
            )

    def _limit(self) -> None:
        assert self.most_bytes is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.most_bytes, self.most_bytes))

    @property
    def told(self) -> str:
        """What it has said so far."""
        return self._told.read_text(errors="replace")

    def wait_for(self, moment: str, seconds: float) -> bool:
        """Waits for one of ``MOMENTS`` and so many seconds more; returns whether the run still goes on then."""
        is_there, looks = self._is_there(moment), 0
        while self.process.poll() is None and not is_there():
            looks += 1
            # What it watches takes longer than a look, and a moment is soon over.
            if looks % 50 == 0:
                self.watch()
            # Files are there for milliseconds; what is said stays.
            time.sleep(0.005 if "/" in moment else 0.05)
        time.sleep(seconds if self.process.poll() is None else 0)
        return self.process.poll() is None

    def _is_there(self, moment: str) -> Callable[[], bool]:
        if "/" not in moment:
            return lambda: moment in self.told
        before = set(Path(self.store).glob(moment))
        return lambda: not before.issuperset(Path(self.store).glob(moment))

    def kill_all(self, containing: str) -> int:
        """Kills its processes whose command line has a text; returns how many."""
        return len(kill(self.marks, containing))

    def kill_one(self, containing: str, randomly: random.Random) -> int:
        """Kills one of its processes whose command line has a text, as soon as there is one; returns whether it has."""
        while self.process.poll() is None:
            if found := sorted(number for number, command in living(self.marks).items() if containing in command):
                return len(kill_these([randomly.choice(found)], signal.SIGKILL))
            time.sleep(0.05)
        return 0

    def kill_driver(self) -> int:
        """Kills the process of the command itself, which takes its own with it as far as they notice."""
        self.process.kill()
        self.process.wait()
        return 1

    def end(self) -> int:
        """Waits for its end and that of all its processes; returns its exit code, negative for a signal.

        Raises:
            TimeoutError: It hangs.
        """
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.process.poll() is None or (self.process.returncode < 0 and living(self.marks)):
            self.watch()
            if time.monotonic() > deadline:
                kill(self.marks)
                raise TimeoutError(f"a run hangs; it said: {self.told[-2000:]}")
            # A watch takes as much of a core as the run, which is to go on meanwhile.
            time.sleep(0.3)
        code = self.process.returncode
        # What the operating system has not yet taken away of a run that has ended well.
        kill(self.marks)
        return code
