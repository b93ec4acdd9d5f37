"""Which processes the processor's time goes to: those of the platform, of a bare process pool, of Daft and of Ray Data.

``python -m benchmarks.studies.cpu_profile --photos 20000`` runs each once, and with ``--discipline phone`` those of
12 megapixels. It tells whether a run waits or computes, and what it computes besides the network; ``py-spy`` tells what
happens within a process.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.cases import CASES
from benchmarks.harness.harness import Bench, measure
from benchmarks.harness.machine import cores
from benchmarks.harness.photos import find_originals
from benchmarks.harness.processes import Watch, is_spark_worker, processes_with

_CONTENDERS = ("ours", "pool", "daft", "ray")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class CpuWatch(Watch):
    """Samples the processor time of whatever contender runs until it is stopped.

    Attributes:
        of_process: Kind of each process, and the user and system time in seconds that it was last seen with.
    """

    of_process: dict[int, tuple[str, float]] = field(default_factory=dict)

    # A pool's processes live for a fraction of a second where there are few photos.
    _pause = 0.05

    @property
    def seconds(self) -> dict[str, float]:
        """User and system time by kind of process."""
        total: dict[str, float] = {}
        for kind, seconds in self.of_process.values():
            total[kind] = total.get(kind, 0.0) + seconds
        return total

    def _sample(self) -> None:
        for process in processes_with():
            with suppress(OSError):
                # Fields 14 and 15 of proc(5), after the name in brackets, which may hold blanks.
                name, _, rest = Path(f"/proc/{process}/stat").read_text().partition("(")[2].rpartition(") ")
                numbers = rest.split()
                kind = _kind(name, process, parent=int(numbers[1]))
                self.of_process[process] = kind, (int(numbers[11]) + int(numbers[12])) / _TICKS


def _kind(name: str, process: int, parent: int) -> str:
    if name == "java":
        return "Java"
    if is_spark_worker(process):
        return "Spark's Python workers"
    return "first process" if parent == os.getpid() else "its other processes"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--discipline", type=click.Choice(["features", "phone"]), default="features", show_default=True)
@click.option("--photos", type=click.IntRange(1), default=20_000, show_default=True, help="Photos to be linked to.")
@click.option(
    "--images", type=click.Path(file_okay=False, path_type=Path), help="Real photos; generated where none are given."
)
@click.option("--weights", default="random:0", show_default=True, help="An .h5, .keras or .tflite file.")
def main(discipline: str, photos: int, images: Path | None, weights: str) -> None:
    """Print the processor time of each contender, by kind of process."""
    click.echo("| | seconds | of all cores busy | processor time by kind of process, seconds |\n|---|--:|--:|---|")
    with TemporaryDirectory(prefix="fruits-cpu-") as directory:
        bench = Bench(find_originals(images, Path(directory)), weights, Path(directory), cores(), 0.0, 0)
        for case in CASES:
            if case.name in [f"{discipline}/{contender}" for contender in _CONTENDERS] and not case.missing():
                with CpuWatch() as watch:
                    run = measure(case, photos, bench, None)
                busy = sum(watch.seconds.values()) / (run.seconds * cores())
                kinds = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in watch.seconds.items())
                click.echo(f"| {case.title} | {run.seconds:.1f} | {busy:.0%} | {kinds} |")


if __name__ == "__main__":
    main()
