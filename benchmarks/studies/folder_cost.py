"""What a folder costs besides its photos: the processor time of the same photos in many folders and in few.

``python -m benchmarks.studies.folder_cost --source PHOTOS`` runs ``fruits run`` on both in turn, each in a store of its
own, and divides the difference by that of the folders. Processor time hardly depends on what else the machine does.
"""

import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import click

from benchmarks.harness.photos import even, link_folders
from benchmarks.harness.processes import is_spark_worker, tree_of
from benchmarks.studies.checkouts import (
    Checkout,
    checkout_option,
    heading,
    json_option,
    pipeline,
    source_option,
    this_checkout,
    weights_option,
    work_option,
    write_json,
)
from spark_steps.features.weights import load_model

_FEW = 18
# What fruits run says at the start of a stage; the report begins with the last.
_STAGES = {
    "photos to features": "features",
    "features to a PCA model": "PCA",
    "features to reduced features": "reduced features",
    "Store ": "",
}
_TICKS = os.sysconf("SC_CLK_TCK")
_KINDS = ("command", "Java", "Spark's Python workers")
Seconds = dict[tuple[str, str], float]


def processor_seconds(root: int) -> dict[str, float]:
    """Returns the processor time of a process and all below it so far, by kind of process."""
    seconds = dict.fromkeys(_KINDS, 0.0)
    for process in tree_of(root):
        try:
            # Fields 14 to 17 of proc(5): user and system time, its own and that of ended children.
            name, _, rest = Path(f"/proc/{process}/stat").read_text().partition("(")[2].rpartition(") ")
        except OSError:
            continue
        kind = _KINDS[1] if name == "java" else _KINDS[2] if is_spark_worker(process) else _KINDS[0]
        seconds[kind] += sum(map(int, rest.split()[11:15])) / _TICKS
    return seconds


def run(checkout: Checkout, source: Path, folders: Sequence[int], weights: str, work: Path) -> Seconds:
    """Runs the whole pipeline on so many photos in each of some folders.

    Returns:
        Processor time by stage and kind of process. Before the first stage are the imports and the registration.

    Raises:
        RuntimeError: The command failed.
    """
    images, store = work / "photos", work / "store"
    link_folders(source, images, folders)
    command = [str(checkout.fruits), *pipeline(str(images), str(store), weights)]
    marks: list[tuple[str, dict[str, float]]] = [("before", dict.fromkeys(_KINDS, 0.0))]
    said: list[str] = []
    environment = checkout.environment(work / "home", {"PYTHONUNBUFFERED": "1"})
    with subprocess.Popen(
        command, env=environment, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101
        for line in process.stdout:
            said.append(line)
            if begun := [stage for start, stage in _STAGES.items() if line.startswith(start)]:
                marks.append((begun[0], processor_seconds(process.pid)))
    if process.returncode:
        raise RuntimeError("".join(said)[-2000:])
    return {
        (stage, kind): after[kind] - before[kind] for (stage, before), (_, after) in pairwise(marks) for kind in _KINDS
    }


def milliseconds_a_folder(many: Seconds, few: Seconds, more_folders: int) -> Seconds:
    """Returns the difference of two runs of the same photos, for each folder that one has more."""
    return {key: (seconds - few[key]) * 1000 / more_folders for key, seconds in many.items()}


def as_markdown(costs: Mapping[str, Sequence[Seconds]]) -> str:
    """Returns the medians of each checkout as a table, with the spread of the sum."""
    lines = [f"| checkout | stage | {' | '.join(_KINDS)} | all |", "|---|---|--:|--:|--:|--:|"]
    for name, rounds in costs.items():
        for stage in dict.fromkeys(stage for stage, _ in rounds[0]):
            cells = [_median(one[stage, kind] for one in rounds) for kind in _KINDS]
            whole = _median(sum(one[stage, kind] for kind in _KINDS) for one in rounds)
            lines.append(f"| {name} | {stage} | " + " | ".join(f"{cell:.1f}" for cell in [*cells, whole]) + " |")
        sums = [sum(one.values()) for one in rounds]
        lines.append(f"| {name} | all | | | | {_median(sums):.1f} ({min(sums):.1f} to {max(sums):.1f}) |")
    return "\n".join(lines)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@source_option
@weights_option
@click.option("--folders", default=2000, show_default=True, type=click.IntRange(_FEW + 1), help="Of the many.")
@click.option("--photos", default=2, show_default=True, type=click.IntRange(1), help="In each of them.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@work_option
@json_option
@checkout_option
def main(
    source: Path, weights: str, folders: int, photos: int, rounds: int, work: Path | None, json_file: Path | None,
    checkouts: tuple[Checkout, ...],
) -> None:  # fmt: skip
    """Print the processor milliseconds of a folder, by stage and kind of process."""
    measured = checkouts or (this_checkout(),)
    costs: dict[str, list[Seconds]] = {checkout.name: [] for checkout in measured}
    with tempfile.TemporaryDirectory(dir=work) as common:
        # Converted before: it takes half a minute once, whatever the number of photos.
        network = Path(common) / "network.tflite"
        network.write_bytes(load_model(weights, common).flatbuffer)
        for _ in range(rounds):
            for checkout in measured:
                seconds = {}
                for count in (folders, _FEW):
                    with tempfile.TemporaryDirectory(dir=work) as directory:
                        spread = even(folders * photos, count)
                        seconds[count] = run(checkout, source, spread, str(network), Path(directory))
                more = folders - _FEW
                costs[checkout.name].append(milliseconds_a_folder(seconds[folders], seconds[_FEW], more))
    about = (
        f"Processor milliseconds a folder: {folders * photos:,} photos in {folders:,} folders, less those in {_FEW}."
    )
    click.echo(heading("A folder", f"{about} Medians of {rounds}.") + "\n" + as_markdown(costs))
    write_json(json_file, folders=folders, photos=photos, costs={
        name: [{f"{stage}, {kind}": value for (stage, kind), value in one.items()} for one in of_checkout]
        for name, of_checkout in costs.items()
    })  # fmt: skip


if __name__ == "__main__":
    main()
