"""The commands ``fruits run`` and ``fruits demo``: the whole pipeline, and its report."""

import shlex
from pathlib import Path

import click

from fruits_assets.commands import places
from fruits_assets.commands.completion import weights_sources
from fruits_assets.commands.options import images_option, store_option
from fruits_assets.home import dagster_home, ensure_dagster_home, instance_at_the_terminal
from fruits_assets.interrupts import INTERRUPTS
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal import tells_problems_in_a_sentence
from spark_steps.errors import FruitsError
from spark_steps.session import start_in_background
from spark_steps.weights import IMAGENET, download_imagenet

RANDOM_WEIGHTS = "random:0"


@click.command("run")
@images_option
@store_option
@click.option(
    "--weights",
    shell_complete=weights_sources,
    help="imagenet, a .h5, .keras or .tflite file, or random:<seed>; left out: the network that the store has, "
    "imagenet in a new one.  [env: FRUITS_WEIGHTS]",
)
@click.option("--folders", default="*", show_default=True, help="Shell pattern of the folders to featurise.")
@click.option("--components", type=int, help="PCA components to keep (50 where nothing is said).")
@click.option("--variance", type=float, help="Share of variance to keep instead, such as 0.95.")
@tells_problems_in_a_sentence
def run_command(
    images: str | None,
    store: str | None,
    weights: str | None,
    folders: str,
    components: int | None,
    variance: float | None,
) -> None:
    """Register the folders and materialize everything; only new and changed photos are run.

    \b
    Examples:
      fruits run --images photos --store results
      fruits run --images photos --store results --folders 'Apple*' --variance 0.95
    """
    if components is not None and variance is not None:
        raise click.UsageError("--components and --variance exclude each other.")
    settings = read_settings(images=images, store=store, weights=weights, components=components, variance=variance)
    places.check_that_photos_are_named(settings)
    for line in places.told(settings, images, store):
        click.echo(line, err=True)
    _run_and_report(settings, folders)


def _run_and_report(settings: Settings, pattern: str = "*") -> None:
    home = dagster_home(settings.store)
    if settings.deployment == "local":
        # Here: it brings Spark's Python side.
        from spark_steps.images import check_images_root

        check_images_root(settings.images)
        places.make_store(settings)
        start_in_background(settings.spark_config, home / "storage" / "spark.err")
    else:
        INTERRUPTS.let_the_cluster_be_ended()
    # Here: Dagster takes seconds to import, and --help does without.
    from fruits_assets.pipeline import run_pipeline
    from fruits_assets.report import as_text, read_report

    ensure_dagster_home(settings.store)
    with instance_at_the_terminal(home) as instance:
        run_pipeline(settings, instance, pattern, lambda line: click.echo(line, err=True))
    click.echo(as_text(read_report(settings.store)))
    click.echo(f"\nTo look at the runs and their metadata: make ui   (or: {_ui_command(settings)})")


def _ui_command(settings: Settings) -> str:
    return f"fruits ui --images {shlex.quote(settings.images)} --store {shlex.quote(settings.store)}"


@click.command("demo")
@tells_problems_in_a_sentence
def demo_command() -> None:
    """Generate sample photos, run the whole pipeline on them, and print the report.

    \b
    Example:
      fruits demo          # photos in sample/photos, results in sample/store
    """
    from fruits_assets.sample import write_sample

    images, store = Path("sample/photos"), Path("sample/store")
    count = write_sample(images)
    click.echo(f"{count} generated photos in {images}", err=True)
    settings = read_settings(images=str(images), store=str(store))
    if settings.weights in (None, IMAGENET):
        settings = read_settings(images=str(images), store=str(store), weights=_weights_for_demonstration())
    _run_and_report(settings)


def _weights_for_demonstration() -> str:
    try:
        download_imagenet()
    except FruitsError as error:
        click.secho(
            "*** RANDOM WEIGHTS: the demonstration goes on, but its features mean nothing. ***", fg="red", err=True
        )
        click.echo(f"    {error}", err=True)
        return RANDOM_WEIGHTS
    return IMAGENET
