"""Which processes the processor's time goes to: those of the platform, of a bare process pool, and of Daft.

``python -m benchmarks.cpu_profile --photos 20000`` runs each once. It tells whether a run waits or computes, and
what it computes besides the network; ``py-spy`` tells what happens within a process.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.cases import CASES
from benchmarks.harness import Bench, measure
from benchmarks.machine import cores
from benchmarks.memory import MARK, is_spark_worker
from benchmarks.photos import find_originals

_CONTENDERS = ("features/ours", "features/pool", "features/daft")
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.25


@dataclass
class CpuWatch:
    """Samples the processor time of a contender's processes until it is stopped.

    Attributes:
        seconds: User and system time by kind of process, of what was seen of each.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    _of_process: dict[int, tuple[str, float]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "CpuWatch":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        for kind, seconds in self._of_process.values():
            self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            for process in _contenders():
                with suppress(OSError):
                    # Fields 14 and 15 of proc(5), after the name in brackets, which may hold blanks.
                    name, _, rest = Path(f"/proc/{process}/stat").read_text().partition("(")[2].rpartition(") ")
                    numbers = rest.split()
                    kind = _kind(name, process, parent=int(numbers[1]))
                    self._of_process[process] = kind, (int(numbers[11]) + int(numbers[12])) / _TICKS


def _contenders() -> Iterator[int]:
    # Each has a mark of its own that the harness makes up; one runs at a time.
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"\0{MARK}=".encode() in b"\0" + (process / "environ").read_bytes():
                yield int(process.name)


def _kind(name: str, process: int, parent: int) -> str:
    if name == "java":
        return "Java"
    if is_spark_worker(process):
        return "Spark's Python workers"
    return "first process" if parent == os.getpid() else "its other processes"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--photos", type=click.IntRange(1), default=20_000, show_default=True, help="Photos to be linked to.")
@click.option(
    "--images", type=click.Path(file_okay=False, path_type=Path), help="Real photos; generated where none are given."
)
@click.option("--weights", default="random:0", show_default=True, help="An .h5, .keras or .tflite file.")
def main(photos: int, images: Path | None, weights: str) -> None:
    """Print the processor time of each contender, by kind of process."""
    click.echo("| | seconds | of all cores busy | processor time by kind of process, seconds |\n|---|--:|--:|---|")
    with TemporaryDirectory(prefix="fruits-cpu-") as directory:
        bench = Bench(find_originals(images, Path(directory)), weights, Path(directory), cores(), 0.0, 0)
        for case in CASES:
            if case.name in _CONTENDERS and not case.missing():
                with CpuWatch() as watch:
                    run = measure(case, photos, bench, None)
                busy = sum(watch.seconds.values()) / (run.seconds * cores())
                kinds = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in watch.seconds.items())
                click.echo(f"| {case.title} | {run.seconds:.1f} | {busy:.0%} | {kinds} |")


if __name__ == "__main__":
    main()
