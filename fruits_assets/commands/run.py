"""The commands ``fruits run`` and ``fruits demo``: the whole pipeline, and its report."""

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fruits_assets.commands.completion import weights_sources
from fruits_assets.commands.support import locations
from fruits_assets.commands.support.asking import agree_to_other_weights
from fruits_assets.commands.support.options import images_option, scaling_option, store_option
from fruits_assets.instance.home import dagster_home, ensure_dagster_home, instance_at_the_terminal
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.interrupts import INTERRUPTS
from fruits_assets.terminal.problems import reports_problems
from spark_steps.errors import FruitsError
from spark_steps.features.imagenet import download_imagenet
from spark_steps.features.network import MOST_FEATURES
from spark_steps.features.weights import (
    IMAGENET,
    check_source,
    convert_in_background,
    current_model,
    has_current_model,
)
from spark_steps.photos.listing import check_images_root
from spark_steps.spark.other_installations import not_followed
from spark_steps.spark.session import start_in_background
from spark_steps.store.store import Store

if TYPE_CHECKING:
    import dagster as dg

RANDOM_WEIGHTS = "random:0"


@click.command("run")
@images_option
@store_option
@click.option(
    "--deployment",
    type=click.Choice(["local", "emr", "emr-serverless", "glue", "databricks"]),
    help="Where the steps run.  [env: FRUITS_DEPLOYMENT; default: local]",
)
@click.option(
    "--weights",
    shell_complete=weights_sources,
    help="imagenet, an .h5, .keras, .tflite or .onnx file, or random:<seed>; left out: the network that the store has, "
    "imagenet in a new one.  [env: FRUITS_WEIGHTS]",
)
@scaling_option
@click.option(
    "--folders",
    multiple=True,
    default=["*"],
    show_default=True,
    metavar="PATTERN,...",
    help="Shell patterns of the folders to featurise; may be given several times. A ? stands for a comma in a name.",
)
@click.option(
    "--components",
    type=click.IntRange(1, MOST_FEATURES),
    help="PCA components to keep; left out, with --variance: what the store was asked for before, 50 in a new one.  "
    "[env: FRUITS_COMPONENTS]",
)
@click.option(
    "--variance",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of variance to keep instead, such as 0.95.  [env: FRUITS_VARIANCE]",
)
@click.option("--yes", is_flag=True, help="Do not ask before other weights replace the features of all photos.")
@click.option("--force", is_flag=True, help="Run everything again, also what is up to date.")
@reports_problems
def run_command(
    images: str | None,
    store: str | None,
    deployment: str | None,
    weights: str | None,
    scaling: str | None,
    folders: tuple[str, ...],
    components: int | None,
    variance: float | None,
    yes: bool,
    force: bool,
) -> None:
    """Register the folders and bring everything up to date; only new and changed photos are run.

    \b
    Examples:
      fruits run --images photos --store results
      fruits run --images photos --store results --folders 'Apple*,Plum' --variance 0.95
    """
    if components is not None and variance is not None:
        raise click.UsageError("--components and --variance exclude each other.")
    settings = read_settings(
        deployment=deployment,
        images=images,
        store=store,
        weights=weights,
        scaling=scaling,
        components=components,
        variance=variance,
    )
    locations.check_that_photos_are_named(settings)
    for line in locations.messages(settings, images, store):
        click.echo(line, err=True)
    _run_and_report(settings, split_patterns(folders), yes=yes, force=force)


def split_patterns(given: Sequence[str]) -> list[str]:
    """Returns the patterns of an option that may be given several times, each with patterns separated by commas.

    Raises:
        UsageError: There is no pattern.
    """
    patterns = [pattern.strip() for one in given for pattern in one.split(",") if pattern.strip()]
    if not patterns:
        raise click.UsageError("--folders names no folder. Leave it out for all of them.")
    return patterns


def _run_and_report(settings: Settings, patterns: Sequence[str] = ("*",), *, yes: bool, force: bool = False) -> None:
    home = dagster_home(settings.store)
    if settings.deployment == "local":
        check_images_root(settings.images)
    agree_to_other_weights(settings, yes=yes)
    if settings.deployment == "local":
        if ignored := not_followed(os.environ):
            click.echo(f"Not followed, because Spark has its own settings here: {', '.join(ignored)}", err=True)
        locations.make_store(settings)
    else:
        INTERRUPTS.let_the_cluster_be_ended()
    # Imported here and below: --help needs neither Spark nor Dagster, and a look at the store needs no Dagster.
    from fruits_assets.commands.support.report_text import as_text
    from fruits_assets.jobs.look import is_up_to_date
    from spark_steps.queries.report import read_report

    current = None if force else is_up_to_date(settings, home, patterns, _report)
    if not current:
        start_spark = _spark_starter(settings, home)
        if current is False or force:
            start_spark()
        _run_pipeline(settings, home, patterns, start_spark, force=force)
    click.echo(as_text(read_report(settings.store)))
    click.echo(f"\nTo look at the runs and their metadata: make ui   (or: {_ui_command(settings)})")


def _report(line: str) -> None:
    click.echo(line, err=True)


def _spark_starter(settings: Settings, home: Path) -> Callable[[], None]:
    """Returns a function that starts Spark, and converts weights, in the background when it is called first."""

    @cache
    def start() -> None:
        if settings.deployment == "local":
            convert_in_background(settings.weights, Store(settings.store).mobilenet_models, settings.scaling)
            start_in_background(settings.spark_config, home / "storage" / "spark.err")

    return start


def _run_pipeline(
    settings: Settings, home: Path, patterns: Sequence[str], start_spark: Callable[[], None], *, force: bool
) -> None:
    from fruits_assets.jobs.pipeline import AT_A_TERMINAL, run_pipeline

    def definitions(settings: Settings) -> "dg.Definitions":
        # Spark starts while all assets are imported.
        start_spark()
        from fruits_assets.definitions import build_definitions

        return build_definitions(settings)

    ensure_dagster_home(settings.store)
    with instance_at_the_terminal(home) as instance:
        runs = replace(AT_A_TERMINAL, full_refresh=force)
        run_pipeline(settings, instance, definitions, patterns, _report, runs)


def _ui_command(settings: Settings) -> str:
    return f"fruits ui --images {shlex.quote(settings.images)} --store {shlex.quote(settings.store)}"


@click.command("demo")
@click.option(
    "--weights",
    shell_complete=weights_sources,
    help="imagenet, an .h5, .keras, .tflite or .onnx file, or random:<seed>; left out: the network of sample/store, "
    "else imagenet, or random:0 where that cannot be downloaded.  [env: FRUITS_WEIGHTS]",
)
@scaling_option
@reports_problems
def demo_command(weights: str | None, scaling: str | None) -> None:
    """Generate sample photos, run the whole pipeline on them, and print the report.

    \b
    Examples:
      fruits demo                       # photos in sample/photos, results in sample/store
      fruits demo --weights random:0    # no download
    """
    from fruits_assets.sample_photos import write_sample

    images, store = Path("sample/photos"), Path("sample/store")
    # Check the weights before any work: a wrong path should fail at once.
    settings = read_settings(images=str(images), store=str(store), weights=weights, scaling=scaling)
    if settings.weights is not None:
        check_source(settings.weights, settings.scaling)
    else:
        settings = read_settings(
            images=str(images), store=str(store), weights=_weights_for_demonstration(Store(settings.store))
        )
    convert_in_background(settings.weights, Store(settings.store).mobilenet_models, settings.scaling)
    count = write_sample(images)
    click.echo(f"{count} generated photos in {images}", err=True)
    _run_and_report(settings, yes=True)


def _weights_for_demonstration(store: Store) -> str | None:
    cache = store.mobilenet_models
    # Keep the store's network, unless it has random weights: imagenet replaces those as soon as it can be downloaded.
    if has_current_model(cache) and current_model(cache).source != RANDOM_WEIGHTS:
        return None
    try:
        download_imagenet()
    except FruitsError as error:
        click.secho(
            "*** RANDOM WEIGHTS: the demonstration goes on, but its features mean nothing. ***", fg="red", err=True
        )
        click.echo(f"    {error}", err=True)
        return RANDOM_WEIGHTS
    return IMAGENET
