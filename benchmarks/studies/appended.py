"""What a few photos added to one large folder cost: seconds of ``fruits run``, and what it writes to the tables.

``python -m benchmarks.studies.appended --source PHOTOS --checkout BEFORE --checkout AFTER``. The photos are hard links
of real ones on the local disk, the same for all checkouts, each of which has a store of its own. In each round photos
are added, and the checkouts run in turn. What is counted is new and still there after a run: not what it wrote and
deleted.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.harness.photos import link_folders
from benchmarks.reporting.results import Figure
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
from benchmarks.studies.store_files import TABLES, Written, table_files, written_since
from fruits_assets.terminal.problems import reports_problems


@dataclass(frozen=True)
class Outcome:
    """A run after photos were added.

    Attributes:
        checkout: Whose.
        photos: Of the folder, the added ones too.
        seconds: From the start of the command to its end.
        written: What it wrote to each table, by its name.
    """

    checkout: str
    photos: int
    seconds: float
    written: dict[str, Written]


def measure(
    checkouts: Sequence[Checkout], source: Path, work: Path, weights: str, photos: int, added: int, rounds: int
) -> Iterator[Outcome]:
    """Yields the outcomes of all checkouts, a round after the other.

    Args:
        checkouts: The checkouts.
        source: Folder with photos that are linked to.
        work: An empty directory.
        weights: As of ``fruits run``.
        photos: Photos of the one folder at first.
        added: Photos that each round adds.
        rounds: How often.

    Raises:
        FruitsError: A run failed, or has left photos out.
    """
    images = work / "photos"
    link_folders(source, images, [photos])
    places = [
        (checkout, work / f"store-{number}", work / f"home-{number}") for number, checkout in enumerate(checkouts)
    ]
    for checkout, store, home in places:
        ran = checkout.run(pipeline(str(images), str(store), weights), home)
        checkout.check_photos(str(store), photos, home)
        click.echo(f"{checkout.name}: {photos:,} photos in {ran.seconds:.1f} s", err=True)
    for _ in range(rounds):
        link_folders(source, images, [added], first=photos)
        photos += added
        for checkout, store, home in places:
            before = {table: table_files(store, table) for table in TABLES}
            ran = checkout.run(pipeline(str(images), str(store), weights), home)
            written = {table: written_since(store, table, before[table]) for table in TABLES}
            checkout.check_photos(str(store), photos, home)
            yield Outcome(checkout.name, photos, ran.seconds, written)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns medians over the rounds, the least and the most in brackets."""
    lines = [
        "| checkout | seconds | table | files written | bytes written | rows in them | rounds |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for checkout in dict.fromkeys(outcome.checkout for outcome in outcomes):
        rounds = [outcome for outcome in outcomes if outcome.checkout == checkout]
        seconds = Figure.of([outcome.seconds for outcome in rounds]).told()
        for table in TABLES:
            written = [outcome.written[table] for outcome in rounds]
            figures = (
                Figure.of([one.files for one in written]),
                Figure.of([one.bytes for one in written]),
                Figure.of([one.rows for one in written]),
            )
            told = " | ".join(figure.told(0) for figure in figures)
            lines.append(f"| {checkout} | {seconds} | {table} | {told} | {len(rounds)} |")
    return "\n".join(lines)


@click.command(help=(__doc__ or "").partition("\n\n")[0])
@source_option
@checkout_option
@click.option("--photos", default=50_000, show_default=True, type=click.IntRange(1), help="Photos of the folder.")
@click.option("--added", default=10, show_default=True, type=click.IntRange(1), help="Photos added in each round.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@weights_option
@work_option
@json_option
@reports_problems
def main(
    source: Path,
    checkouts: tuple[Checkout, ...],
    photos: int,
    added: int,
    rounds: int,
    weights: str,
    work: Path | None,
    json_file: Path | None,
) -> None:
    """Measures and prints."""
    outcomes = []
    with tempfile.TemporaryDirectory(dir=work) as directory:
        these = checkouts or (this_checkout(),)
        for outcome in measure(these, source, Path(directory), weights, photos, added, rounds):
            total = sum(written.bytes for written in outcome.written.values())
            click.echo(f"{outcome.checkout}: {outcome.seconds:.1f} s, {total:,} bytes written", err=True)
            outcomes.append(outcome)
    click.echo(
        heading("Photos added to one folder", f"{added:,} photos added to a folder of {photos:,} in each round.")
    )
    click.echo(as_markdown(outcomes))
    write_json(json_file, photos=photos, added=added, outcomes=[asdict(outcome) for outcome in outcomes])


if __name__ == "__main__":
    main()
