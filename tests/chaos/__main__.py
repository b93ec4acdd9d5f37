"""Faults for as long as there is time: ``python -m tests.chaos --seed 1 --minutes 10``.

Each round changes the photos, disturbs runs on them, lets one run to its end, and compares the store with that of an
undisturbed run of the same photos in a new store, row by row. Equal seeds make equal photos, faults and moments; how
far a run is at a moment's millisecond is up to the machine.
"""

import hashlib
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import click

from spark_steps.errors import FruitsError
from spark_steps.features.weights import load_model
from spark_steps.pca import model_store
from spark_steps.store.store import Store
from tests.chaos.compare import Difference, differences, photos_seen_twice
from tests.chaos.erasures import LINES, an_hour_passes, erase, traces
from tests.chaos.photos import ImagesRoot
from tests.chaos.runs import DISK_FULL, LIMITED_BYTES, MOMENTS, Run
from tests.chaos.s3_store import FaultyStore, faulty_store
from tests.emr_emulator.spark import s3_jars


class Chaos:
    """One store, disturbed again and again.

    Attributes:
        injected: Faults by kind.
        ended: How disturbed runs ended.
        erasures: How erasures ended.
        runs: All of them, undisturbed ones too.
        found: What all comparisons found together.
        broken: What must not be, in sentences.
    """

    def __init__(self, directory: Path, seed: int, weights: str) -> None:
        self._directory, self._weights = directory, weights
        self._randomly = random.Random(seed)  # noqa: S311
        self._images = ImagesRoot(directory / "images", self._randomly)
        self._store = Store(str(directory / "store"))
        self._in_s3: FaultyStore | None = None
        self._recovered = False
        self._to_erase: list[Path] = []
        self._erased: list[bytes] = []
        self._open = ExitStack()
        self.injected: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.erasures: Counter[str] = Counter()
        self.runs, self.found, self.broken = 0, Difference(), list[str]()

    @property
    def kinds(self) -> dict[str, Callable[[], None]]:
        """What disturbs a run, by name."""
        return {
            "driver killed": self._driver_killed,
            "Python worker killed": self._worker_killed,
            "JVM killed": self._jvm_killed,
            "disk full": self._disk_full,
            "two runs at once": self._two_at_once,
            "photos changed meanwhile": self._photos_changed,
            "photos erased meanwhile": self._photos_erased,
            "erasure killed": self._erasure_killed,
            "S3 on a bad day": self._s3_on_a_bad_day,
        }

    def round(self, kinds: list[str]) -> None:
        """Disturbs runs in these ways, one after the other, then recovers and compares."""
        for kind in kinds:
            self._images.change(4)
            self._recovered = False
            self.kinds[kind]()
        if not self._recovered:
            recovery = self._run()
            if self._end(recovery):
                self.broken.append(f"after {', '.join(kinds)} a run did not recover: {recovery.told[-1500:]}")
        self._compare()

    def _compare(self) -> None:
        if left := traces(self._store, self._images.root, self._erased):
            self.broken.append(f"photos were erased, and there are traces of them in {left[:3]}")
        with tempfile.TemporaryDirectory(prefix="undisturbed", dir=self._directory) as scratch:
            undisturbed = Run(self._images.root, f"{scratch}/store", Path(scratch, "home"), self._weights)
            if self._end(undisturbed):
                self.broken.append(f"an undisturbed run failed: {undisturbed.told[-1500:]}")
            self.found += differences(self._store, Store(f"{scratch}/store"))
            if self._in_s3 is not None:
                recovery = self._run_in_s3(self._in_s3)
                if self._end(recovery):
                    self.broken.append(f"a run in S3 did not recover: {recovery.told[-1500:]}")
                self.found += differences(Store(self._in_s3.root), Store(f"{scratch}/store"))

    def _run(self, home: str = "home", most_bytes: int | None = None) -> Run:
        place, home_of_run = self._store.root, self._directory / home
        return Run(self._images.root, place, home_of_run, self._weights, most_bytes=most_bytes, watch=self._watch)

    def _run_in_s3(self, store: FaultyStore) -> Run:
        home = self._directory / "home of S3"
        return Run(self._images.root, store.root, home, self._weights, environment=store.variables)

    def _watch(self) -> None:
        # A table under way may be told to be busy; it may not be told wrongly.
        with suppress(FruitsError):
            self.broken += photos_seen_twice(self._store)
            if (version := model_store.current_version(self._store.pca_models)) is not None:
                model_store.load(self._store.pca_models, version)

    def _end(self, run: Run) -> int:
        self.runs += 1
        try:
            code = run.end()
        except TimeoutError as hanging:
            self.broken.append(str(hanging))
            return 1
        # In the middle of a line it is in what Spark logs of a task.
        if re.search("^Traceback", run.told, re.MULTILINE):
            self.broken.append(f"a stack trace: {run.told[-1500:]}")
        return code

    def _disturb(self, fault: Callable[[Run], int], kind: str, *, outlived: bool) -> None:
        run = self._run()
        moment, seconds = self._randomly.choice(MOMENTS), self._randomly.choice((0, 0, 0.02, 0.2, 1))
        click.echo(f"  {kind} at {moment!r} and {seconds} s more", err=True)
        if run.wait_for(moment, seconds):
            self.injected[kind] += fault(run)
        code = self._end(run)
        self.ended["to its end" if code == 0 else "told" if code > 0 else "killed"] += 1
        self._recovered = outlived and code == 0
        if outlived and code:
            self.broken.append(f"{kind} at {moment!r} was not outlived: {run.told[-1500:]}")

    def _driver_killed(self) -> None:
        self._disturb(Run.kill_driver, "driver killed", outlived=False)

    def _worker_killed(self) -> None:
        one = self._randomly
        self._disturb(
            lambda run: run.kill_one("-m spark_steps.python_daemon", one), "Python worker killed", outlived=True
        )

    def _jvm_killed(self) -> None:
        self._disturb(lambda run: run.kill_all("java"), "JVM killed", outlived=False)

    def _photos_changed(self) -> None:
        def change(_: Run) -> int:
            self._images.change(3)
            return 3

        self._disturb(change, "photos changed meanwhile", outlived=False)

    def _photos_erased(self) -> None:
        def erase_two(_: Run) -> int:
            # As on another machine: this run is not in its records.
            self._erase(2, self._directory / "other home")
            return 1

        an_hour_passes(self._store)
        self._disturb(erase_two, "photos erased meanwhile", outlived=False)
        # Where it was refused, it is not when the run has ended.
        self._finish_erasures()

    def _erasure_killed(self) -> None:
        an_hour_passes(self._store)
        line = self._randomly.choice(LINES)
        click.echo(f"  erasure killed at {line!r}", err=True)
        if self._erase(2, self._directory / "home", killed_at=line) < 0:
            self.injected["erasure killed"] += 1
            if line != LINES[-1] and self._end(self._run()) <= 0:
                self.broken.append(f"a run began in the middle of an erasure that was killed at {line!r}")
        self._finish_erasures()

    def _erase(self, photos: int, home: Path, killed_at: str | None = None) -> int:
        paths = self._images.own_photos(photos)
        for path in paths:
            content = path.read_bytes()
            self._erased += [
                str(path.relative_to(self._images.root)).encode(),
                hashlib.sha256(content).hexdigest().encode(),
                content,
            ]
        self._to_erase += paths
        code, told = erase(self._images.root, self._store.root, home, paths, killed_at)
        self._ended_erasure(code, told)
        return code

    def _finish_erasures(self) -> None:
        an_hour_passes(self._store)
        code, told = erase(self._images.root, self._store.root, self._directory / "home", self._to_erase)
        self._ended_erasure(code, told)
        if code:
            self.broken.append(f"photos could not be erased: {told[-1500:]}")
        self._to_erase.clear()

    def _ended_erasure(self, code: int, told: str) -> None:
        self.erasures["killed" if code < 0 else "refused" if code else "done"] += 1
        if re.search("^Traceback", told, re.MULTILINE):
            self.broken.append(f"a stack trace of an erasure: {told[-1500:]}")

    def _disk_full(self) -> None:
        run = self._run(most_bytes=self._randomly.choice(LIMITED_BYTES))
        self.ended["to its end" if self._end(run) == 0 else "told"] += 1
        # A run that writes no file of that length meets no fault.
        if re.search(DISK_FULL, run.told):
            self.injected["disk full"] += 1

    def _s3_on_a_bad_day(self) -> None:
        if self._in_s3 is None:
            # Not by two runs at once: Ivy is not made for that.
            s3_jars()
            self._in_s3 = self._open.enter_context(faulty_store(self._randomly.randrange(2**32)))
        before = self._in_s3.injected
        self._in_s3.fails(self._randomly.choice((0.02, 0.05, 0.1)))
        code = self._end(self._run_in_s3(self._in_s3))
        self._in_s3.fails(0)
        self.injected += self._in_s3.injected - before
        self.ended["to its end" if code == 0 else "told"] += 1

    def close(self) -> None:
        """Ends the S3."""
        self._open.close()

    def _two_at_once(self) -> None:
        runs = [self._run(), self._run(home=self._randomly.choice(("home", "other home")))]
        self.injected["two runs at once"] += 1
        for run in runs:
            self.ended["to its end" if self._end(run) == 0 else "told"] += 1

    def report(self) -> str:
        """Returns what was done and found."""
        injected = ", ".join(f"{count} {kind}" for kind, count in sorted(self.injected.items())) or "none"
        ended = ", ".join(f"{count} {how}" for how, count in sorted(self.ended.items()))
        erasures = ", ".join(f"{count} {how}" for how, count in sorted(self.erasures.items())) or "none"
        lines = [
            f"Faults injected   {injected}",
            f"Changes of photos {self._images.changes}",
            f"Runs              {self.runs}; those disturbed ended: {ended}",
            f"Photos erased     {len(self._erased) // 3}; erasures: {erasures}",
            f"Rows compared     {self.found.compared:,}",
            f"Rows lost         {self.found.lost}",
            f"Rows doubled      {self.found.doubled}",
            f"Rows wrong        {self.found.wrong}",
            *(f"  {named}" for named in self.found.named),
            *(f"BROKEN: {one}" for one in self.broken[:10]),
        ]
        return "\n".join(lines)


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--minutes", type=float, default=10, show_default=True, help="No round begins after so many.")
@click.option("--rounds", type=int, default=10**6, help="At most so many rounds.")
@click.option("--faults", type=int, default=3, show_default=True, help="Of a round.")
@click.option("--kind", "only", multiple=True, help="Only faults of this kind; may be given several times.")
@click.option("--weights", default="random:0", show_default=True, help="Of the network.")
def main(seed: int, minutes: float, rounds: int, faults: int, only: tuple[str, ...], weights: str) -> None:
    """Disturbs runs, and compares what is left with undisturbed ones; ends with 1 where any row differs."""
    started, randomly = time.monotonic(), random.Random(seed)  # noqa: S311
    directory = Path(tempfile.mkdtemp(prefix="fruits-chaos-"))
    if not weights.endswith(".tflite"):
        network = directory / "network.tflite"
        network.write_bytes(load_model(weights, str(directory / "networks")).flatbuffer)
        weights = str(network)
    with closing(Chaos(directory, seed, weights)) as chaos:
        _go_on(chaos, started + minutes * 60, rounds, faults, list(only), randomly)
    click.echo(chaos.report())
    if chaos.broken or not chaos.found.is_none:
        click.echo(f"What is left lies in {directory}; the same again: --seed {seed}")
        sys.exit(1)
    shutil.rmtree(directory)


def _go_on(chaos: Chaos, until: float, rounds: int, faults: int, only: list[str], randomly: random.Random) -> None:
    kinds = list(only or chaos.kinds)
    left: list[str] = []
    for number in range(rounds):
        if time.monotonic() > until:
            break
        # Each kind once before one comes again.
        while len(left) < faults:
            left += randomly.sample(kinds, len(kinds))
        now, left = left[:faults], left[faults:]
        click.echo(f"round {number + 1}: {', '.join(now)}", err=True)
        chaos.round(now)
        if chaos.broken or not chaos.found.is_none:
            break


if __name__ == "__main__":
    main()
