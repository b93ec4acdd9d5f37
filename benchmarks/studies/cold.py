"""Seconds of ``fruits identify``, ``report`` and ``run`` where nothing is new, of several checkouts in turn.

``python -m benchmarks.studies.cold --source PHOTOS --checkout BEFORE --checkout AFTER``. Each checkout has a store that
its own ``fruits run`` has made of the same photos. All files are in the page cache: a first round is left out.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.harness.photos import even, link_folders
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
from fruits_assets.terminal.problems import reports_problems

COMMANDS = ("identify", "report", "run")


@dataclass(frozen=True)
class Outcome:
    """One process.

    Attributes:
        checkout: Whose.
        command: One of ``COMMANDS``.
        seconds: From its start to its end.
    """

    checkout: str
    command: str
    seconds: float


def measure(
    checkouts: Sequence[Checkout], source: Path, work: Path, weights: str, photos: int, folders: int, rounds: int
) -> Iterator[Outcome]:
    """Yields the outcomes of all commands of all checkouts, a round after the other.

    Args:
        checkouts: The checkouts.
        source: Folder with photos that are linked to.
        work: An empty directory.
        weights: As of ``fruits run``.
        photos: Photos of each store.
        folders: Folders that they lie in.
        rounds: How often, after one that is left out.

    Raises:
        FruitsError: A command failed, or a store has not all photos.
    """
    images = work / "photos"
    link_folders(source, images, even(photos, folders))
    photo = min(images.rglob("*.jpg"))
    places = [
        (checkout, work / f"store-{number}", work / f"home-{number}") for number, checkout in enumerate(checkouts)
    ]
    for checkout, store, home in places:
        click.echo(f"{checkout.name}: makes its store", err=True)
        checkout.run(pipeline(str(images), str(store), weights), home)
        checkout.check_photos(str(store), photos, home)
    arguments = {"identify": [str(photo)], "report": [], "run": ["--images", str(images)]}
    for number in range(rounds + 1):
        for command in COMMANDS:
            for checkout, store, home in places:
                ran = checkout.run([command, *arguments[command], "--store", str(store)], home)
                if number:
                    yield Outcome(checkout.name, command, ran.seconds)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns medians over the rounds, the least and the most in brackets."""
    lines = ["| command | checkout | seconds | rounds |", "|---|---|--:|--:|"]
    for command in COMMANDS:
        for checkout in dict.fromkeys(outcome.checkout for outcome in outcomes):
            seconds = [one.seconds for one in outcomes if (one.checkout, one.command) == (checkout, command)]
            lines.append(f"| {command} | {checkout} | {Figure.of(seconds).told(2)} | {len(seconds)} |")
    return "\n".join(lines)


@click.command(help=(__doc__ or "").partition("\n\n")[0])
@source_option
@checkout_option
@click.option("--photos", default=500, show_default=True, type=click.IntRange(1), help="Photos of each store.")
@click.option("--folders", default=25, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
@weights_option
@work_option
@json_option
@reports_problems
def main(
    source: Path,
    checkouts: tuple[Checkout, ...],
    photos: int,
    folders: int,
    rounds: int,
    weights: str,
    work: Path | None,
    json_file: Path | None,
) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(dir=work) as directory:
        these = checkouts or (this_checkout(),)
        outcomes = list(measure(these, source, Path(directory), weights, photos, folders, rounds))
    click.echo(heading("Commands in a fresh process", f"Stores of {photos:,} photos in {folders:,} folders."))
    click.echo(as_markdown(outcomes))
    write_json(json_file, photos=photos, folders=folders, outcomes=[asdict(outcome) for outcome in outcomes])


if __name__ == "__main__":
    main()
