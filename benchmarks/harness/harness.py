"""Runs contenders in turn, each in a process of its own, and checks what they did before their time counts."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.cases import ADDED, PHOTOS_OF_FOLDERS, Case, Data, fruits_run
from benchmarks.harness.agreement import (
    compare_explained_variance,
    compare_features,
    count_reduced,
    reference_features,
)
from benchmarks.harness.feature_tables import make_features_table
from benchmarks.harness.job import Job
from benchmarks.harness.large_stores import make_large_store
from benchmarks.harness.memory import MemoryWatch
from benchmarks.harness.network import list_photos
from benchmarks.harness.photos import even, link_folders, link_photos, make_phone_photos, one_link_each
from benchmarks.harness.processes import MARK, processes_with
from benchmarks.harness.used_stores import UsedStore, check_photos, rows_written
from benchmarks.reporting.results import Run
from spark_steps.errors import FruitsError
from spark_steps.features.weights import load_model

_PROJECT = Path(__file__).parent.parent.parent
# Of the stores that a run begins with.
_FOLDERS = 25
# Data of which the photos are read by more than one run.
_OF_PHOTOS: tuple[Data, ...] = ("photos", "phone photos", "folders")
# Nobody's telemetry, nobody's network, no lines about missing GPUs.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DO_NOT_TRACK": "true",
    "HF_HUB_OFFLINE": "1",
}


def _environment(dagster_home: Path) -> dict[str, str]:
    # Without bytecode each process would compile its imports anew, which no user's does.
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FRUITS_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**own, **_ENVIRONMENT, "DAGSTER_HOME": str(dagster_home), "PYTHONPATH": str(_PROJECT)}


@dataclass(frozen=True)
class Bench:
    """What contenders are given.

    Attributes:
        originals: Images root of the photos that are linked to.
        weights: The weights' source.
        scratch: Directory for photos, tables and results on their way.
        cores: Cores to use.
        seconds: How long each limit is measured.
        stored: Photos in the store that single photos are compared with.
    """

    originals: Path
    weights: str
    scratch: Path
    cores: int
    seconds: float
    stored: int

    def flatbuffer(self) -> str:
        """Returns the path of the network, converted by the product's own code at the first call."""
        cache = self.scratch / "networks"
        model = load_model(self.weights, str(cache))
        file = cache / f"{model.weights_sha256}.tflite"
        if not file.exists():
            file.write_bytes(model.flatbuffer)
        return str(file)

    def data(self, case: Case, size: int) -> str:
        """Returns what a case works on, made where it is not there."""
        match case.data:
            case "photos":
                return str(link_photos(self.originals, size, self.scratch))
            case "phone photos":
                phone = make_phone_photos(self.originals, self.scratch)
                return str(link_photos(phone, size, self.scratch))
            case "features table":
                return str(make_features_table(self.scratch, size))
            case "one photo":
                return list_photos(str(self.originals))[0]
            case "folders":
                return str(self._folders(size))
            case "used store":
                return str(self.used_store(size).images)
            case "nothing":
                return ""

    def _folders(self, count: int) -> Path:
        root = self.scratch / f"folders-{self._key()}-{count}"
        if not (root / "whole").exists():
            shutil.rmtree(root, ignore_errors=True)
            link_folders(self._linkable(PHOTOS_OF_FOLDERS), root / "photos", even(PHOTOS_OF_FOLDERS, count))
            (root / "whole").touch()
        return root / "photos"

    def used_store(self, size: int) -> UsedStore:
        """Returns the store of so many photos that a user's next run begins with, made at the first call."""
        used = UsedStore(self.scratch / f"used-{self._key()}-{size}")
        used.make(self._linkable(size), even(size, _FOLDERS), lambda one: self._run(one.images, one.store, one.home))
        return used

    def _linkable(self, count: int) -> Path:
        # The originals may be on another disk.
        return link_photos(self.originals, count, self.scratch)

    def _key(self) -> str:
        return hashlib.sha256(f"{self.originals} {self.flatbuffer()}".encode()).hexdigest()[:8]

    def _run(self, images: Path, store: Path, home: Path) -> None:
        command = fruits_run(str(images), str(store), self.flatbuffer())
        done = subprocess.run(command, env=_environment(home), capture_output=True, text=True, check=False)
        if done.returncode:
            raise FruitsError(f"The store {store} cannot be made:\n{done.stderr[-1500:]}")

    def _store(self, case: Case, size: int) -> str:
        match case.store:
            case "fitted":
                return str(self.used_store(self.stored).filled)
            case "large":
                used = self.used_store(self.stored)
                return make_large_store(str(used.filled), size, used.directory)
            case "used":
                used = self.used_store(size)
                added = ADDED if case.name == "everyday/added" else 0
                used.restore(self._linkable(size), even(size, _FOLDERS)[0], added)
                return str(used.store)
            case None:
                return ""

    def job(self, case: Case, size: int) -> Job:
        """Returns the job of a case, all that it needs made."""
        output = self.scratch / f"output-{uuid.uuid4().hex}"
        home = self.used_store(size).home if case.store == "used" else output / "dagster"
        return Job(
            data=self.data(case, size),
            flatbuffer=self.flatbuffer(),
            weights=self.weights,
            store=self._store(case, size),
            home=str(home),
            output=str(output),
            size=size,
            cores=self.cores,
            seconds=self.seconds,
            started=0.0,
        )


def measure(case: Case, size: int, bench: Bench, explained: list[float] | None) -> Run:
    """Runs a case once.

    Args:
        case: The case.
        size: Photos or rows.
        bench: What it is given.
        explained: Explained variance that a PCA must agree with; None where it is the first.

    Raises:
        FruitsError: It failed, or its results are wrong.
    """
    job = bench.job(case, size)
    Path(job.output).mkdir(parents=True)
    try:
        run = _timed(case, job)
        return replace(run, facts={**run.facts, **_agreement(case, job, bench, run.facts, explained)})
    finally:
        shutil.rmtree(job.output, ignore_errors=True)


def _timed(case: Case, job: Job) -> Run:
    mark = uuid.uuid4().hex
    environment = {
        **_environment(Path(job.home)),
        MARK: mark,
        "HF_HOME": f"{job.output}/hugging-face",
    }
    with (Path(job.output) / "log").open("w+") as log, MemoryWatch(mark) as memory:
        job = replace(job, started=time.time())
        start = time.perf_counter()
        process = subprocess.Popen(
            case.command_of(job), env=environment, stdout=subprocess.PIPE, stderr=log, text=True, cwd=job.output
        )
        try:
            told, _ = process.communicate()
            seconds = time.perf_counter() - start
        finally:
            _end_all(mark)
        log.seek(0)
        lines = [line for line in log.read().splitlines() if line.strip()]
    if process.returncode:
        raise FruitsError(f"{case.name} ended with code {process.returncode}:\n" + "\n".join(lines[-15:]))
    facts = {**_facts(told), "java": memory.java}
    return Run(case.name, job.size, seconds, memory.peak, memory.workers_peak, facts)


def _end_all(mark: str) -> None:
    """Ends what a contender has left running: it would take part in the next one's time."""
    deadline = time.monotonic() + 10
    while left := list(processes_with(mark)):
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM if time.monotonic() < deadline - 5 else signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.2)


def _facts(told: str) -> dict[str, Any]:
    lines = told.strip().splitlines()
    try:
        facts = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _agreement(
    case: Case, job: Job, bench: Bench, facts: dict[str, Any], explained: list[float] | None
) -> dict[str, Any]:
    if case.discipline == "pca":
        return {
            "variance_difference": compare_explained_variance(
                case.name, facts["explained"], explained or facts["explained"]
            )
        }
    if case.discipline == "everyday":
        return _of_everyday(case, job, bench)
    if case.discipline == "folders":
        check_photos(case.name, Path(job.output, "store"), len(list_photos(job.data)))
    if case.result is None:
        return {}
    reference = reference_features(job.data, job.flatbuffer, bench.scratch, bench.cores)
    if case.discipline == "pipeline":
        reduced = "store/PCA_Results/reduced_features" if case.name == "pipeline/ours" else "reduced"
        count_reduced(case.name, f"{job.output}/{reduced}", job.size)
    directory = f"{job.output}/{case.result}"
    return compare_features(case.name, directory, job.data, reference, same_pixels=case.same_pixels)


def _of_everyday(case: Case, job: Job, bench: Bench) -> dict[str, Any]:
    if case.store is None:
        store = Path(job.output, "sample", "store")
        check_photos(case.name, store, job.size)
        return {"rows_written": rows_written(store, Path(job.output, "none"))}
    used = bench.used_store(job.size)
    check_photos(case.name, used.store, len(list_photos(job.data)))
    return {"rows_written": used.rows_written()}


def _read_photos(roots: Iterable[str]) -> None:
    """Reads each different photo: the first contender would read from the disk what the others find in memory."""
    for images in roots:
        for photo in one_link_each(list_photos(images)).values():
            Path(photo).read_bytes()


def run_rounds(
    cases: Sequence[tuple[Case, int]],
    rounds: int,
    bench: Bench,
    runs: list[Run],
    after_each: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Runs cases in turn (A B C A B C) until each has its rounds; runs that are there already count.

    Args:
        cases: Cases and sizes.
        rounds: Runs that each shall have.
        bench: What they are given.
        runs: The runs so far, which is added to.
        after_each: Called after each run, to save them.
        say: Takes progress, a line at a time.
    """
    # Before any time is measured: making it would warm or cool the machine in between.
    jobs = [(case, bench.job(case, size)) for case, size in cases]
    for case, job in jobs:
        if case.result is not None:
            reference_features(job.data, job.flatbuffer, bench.scratch, bench.cores)
    _read_photos({job.data for case, job in jobs if case.data in _OF_PHOTOS})
    for number in range(1, rounds + 1):
        for case, size in cases:
            if len([run for run in runs if (run.case, run.size) == (case.name, size)]) >= number:
                continue
            explained = next(
                (one.facts["explained"] for one in runs if one.size == size and "explained" in one.facts), None
            )
            run = measure(case, size, bench, explained)
            runs.append(run)
            say(f"round {number}  {case.name:24} {size:>7,}  {run.seconds:8.2f} s  {run.peak_bytes / 1e9:5.2f} GB")
            after_each()
