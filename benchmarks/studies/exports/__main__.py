"""Exports stores of random features, and prints a table."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.studies.checkouts import heading, json_option, work_option, write_json
from benchmarks.studies.exports.stores import make_store
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import FruitsError
from spark_steps.store.store import Store

KINDS = ("csv", "npz", "parquet", "tfrecord", "huggingface")


@dataclass(frozen=True)
class Outcome:
    """One export.

    Attributes:
        kind: Its format.
        photos: Rows.
        processor_seconds: Of its process.
        resident_bytes: Most memory of its process.
        written_bytes: Size of what it has written.
    """

    kind: str
    photos: int
    processor_seconds: float
    resident_bytes: int
    written_bytes: int


def measure(store: Store, photos: int, kinds: Sequence[str], work: Path) -> Iterator[Outcome]:
    """Yields the outcome of an export of each kind.

    Raises:
        FruitsError: An export failed, or does not have all photos.
    """
    for kind in kinds:
        target = work / f"export-{kind}"
        command = [sys.executable, "-m", "benchmarks.studies.exports.one", "--store", store.root]
        command += ["--features", "full", "--split", f"--{kind}", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FruitsError(f"The export of {kind} ended with code {done.returncode}:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        if told["photos"] != photos:
            raise FruitsError(f"The export of {kind} has {told['photos']:,} of {photos:,} photos.")
        files = [file for one in work.glob(f"{target.name}*") for file in (one, *one.rglob("*")) if file.is_file()]
        yield Outcome(kind, written_bytes=sum(file.stat().st_size for file in files), **told)
        for one in work.glob(f"{target.name}*"):
            shutil.rmtree(one) if one.is_dir() else one.unlink()


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns a line for each export."""
    lines = ["| format | photos | processor seconds | peak memory, MB | written, MB |", "|---|--:|--:|--:|--:|"]
    for one in sorted(outcomes, key=lambda one: (KINDS.index(one.kind), one.photos)):
        memory, written = one.resident_bytes / 1e6, one.written_bytes / 1e6
        lines.append(f"| {one.kind} | {one.photos:,} | {one.processor_seconds:.1f} | {memory:,.0f} | {written:,.0f} |")
    return "\n".join(lines)


@click.command()
@click.option("--photos", "sizes", multiple=True, type=click.IntRange(1), default=(10_000, 100_000), show_default=True)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS, show_default=True)
@work_option
@json_option
@reports_problems
def main(sizes: tuple[int, ...], kinds: tuple[str, ...], work: Path | None, json_file: Path | None) -> None:
    """Measure fruits export --features full --split: memory and processor time against the number of photos."""
    outcomes: list[Outcome] = []
    for photos in sizes:
        with tempfile.TemporaryDirectory(dir=work) as directory:
            click.echo(f"Makes a store of {photos:,} photos", err=True)
            store = make_store(photos, Path(directory, "store"))
            outcomes += measure(store, photos, kinds, Path(directory))
    click.echo(heading("Exports of all features", "Random features of 1280 float32, with their split."))
    click.echo(as_markdown(outcomes))
    write_json(json_file, outcomes=[asdict(outcome) for outcome in outcomes])


if __name__ == "__main__":
    main()
