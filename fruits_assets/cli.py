"""The command ``fruits``: thin commands over the same assets and jobs."""

import json
import os
import shlex
import sys
from pathlib import Path

import click
import dagster as dg

from fruits_assets.emr.clusters import clusters_command
from fruits_assets.emr.deploy import deploy_command
from fruits_assets.emr.doctor import doctor_command
from fruits_assets.emr.estimate import estimate_command
from fruits_assets.home import WORKSPACE, ensure_dagster_home, last_store
from fruits_assets.report import as_text, read_report
from fruits_assets.sample import write_sample
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal import tells_problems_in_a_sentence
from spark_steps.errors import FruitsError
from spark_steps.weights import IMAGENET, load_model

RANDOM_WEIGHTS = "random:0"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fruits")
def main() -> None:
    """Folders of fruit photos to compact feature tables, as a Dagster asset graph on Spark."""


@main.command()
@click.option("--images", help="Folder whose subfolders hold the photos, one folder a label.  [env: FRUITS_IMAGES]")
@click.option("--store", help="Folder of all results.  [env: FRUITS_STORE]")
@click.option("--weights", help="imagenet, a .h5, .keras or .tflite file, or random:<seed>.  [env: FRUITS_WEIGHTS]")
@click.option("--folders", default="*", show_default=True, help="Shell pattern of the folders to featurise.")
@click.option("--components", type=int, help="PCA components to keep (50 where nothing is said).")
@click.option("--variance", type=float, help="Share of variance to keep instead, such as 0.95.")
@tells_problems_in_a_sentence
def run(
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
    _run_and_report(settings, folders)


def _run_and_report(settings: Settings, pattern: str = "*") -> None:
    # Imported here: it brings all of Dagster's definitions, which the small commands do without.
    from fruits_assets.pipeline import run_pipeline

    ensure_dagster_home(settings.store)
    with dg.DagsterInstance.get() as instance:
        run_pipeline(settings, instance, pattern, lambda line: click.echo(line, err=True))
    click.echo(as_text(read_report(settings.store)))
    click.echo(f"\nTo look at the runs and their metadata: make ui   (or: {_ui_command(settings)})")


def _ui_command(settings: Settings) -> str:
    return f"fruits ui --images {shlex.quote(settings.images)} --store {shlex.quote(settings.store)}"


@main.command()
@tells_problems_in_a_sentence
def demo() -> None:
    """Generate sample photos, run the whole pipeline on them, and print the report."""
    images, store = Path("sample/photos"), Path("sample/store")
    count = write_sample(images)
    click.echo(f"{count} generated photos in {images}", err=True)
    settings = read_settings(images=str(images), store=str(store))
    if settings.weights == IMAGENET:
        settings = read_settings(images=str(images), store=str(store), weights=_weights_for_demonstration(settings))
    _run_and_report(settings)


def _weights_for_demonstration(settings: Settings) -> str:
    from spark_steps.store import Store

    try:
        load_model(IMAGENET, Store(settings.store).mobilenet_models)
    except FruitsError as error:
        click.secho(
            "*** RANDOM WEIGHTS: the demonstration goes on, but its features mean nothing. ***", fg="red", err=True
        )
        click.echo(f"    {error}", err=True)
        return RANDOM_WEIGHTS
    return IMAGENET


@main.command()
@click.option("--store", help="Folder of the results.  [env: FRUITS_STORE]")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@tells_problems_in_a_sentence
def report(store: str | None, as_json: bool) -> None:
    """Print what a store holds."""
    told = read_report(read_settings(store=store).store)
    click.echo(json.dumps(told.as_json(), indent=2, ensure_ascii=False) if as_json else as_text(told))


@main.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--photos", default=24, show_default=True, type=click.IntRange(1), help="Photos of each fruit.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Other seeds, other photos.")
def sample(out: Path, photos: int, seed: int) -> None:
    """Write generated photos of eight fruits, a folder each; the same for the same seed."""
    count = write_sample(out, photos, seed)
    click.echo(f"{count} photos in {out}")


@main.command()
@click.option("--images", help="Images root for runs started in the UI.  [env: FRUITS_IMAGES; else of the last run]")
@click.option("--store", help="Store for them.  [env: FRUITS_STORE; else of the last run]")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@tells_problems_in_a_sentence
def ui(images: str | None, store: str | None, port: int) -> None:
    """Start Dagster's webserver and daemon on the asset graph."""
    if store is None and "FRUITS_STORE" not in os.environ:
        store = last_store()
    settings = read_settings(images=images, store=store)
    ensure_dagster_home(settings.store)
    if images is None and "FRUITS_IMAGES" not in os.environ:
        settings = read_settings(images=_images_of_last_run(), store=settings.store)
    os.environ |= {"FRUITS_IMAGES": settings.images, "FRUITS_STORE": settings.store}
    click.echo(f"Images {settings.images}, store {settings.store}; http://127.0.0.1:{port}", err=True)
    where = ["-w", str(WORKSPACE)] if WORKSPACE.exists() else ["-m", "fruits_assets.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *where, "-h", "127.0.0.1", "-p", str(port)]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606


def _images_of_last_run() -> str | None:
    from fruits_assets.tags import IMAGES_TAG

    with dg.DagsterInstance.get() as instance:
        return next((run.tags[IMAGES_TAG] for run in instance.get_runs(limit=50) if IMAGES_TAG in run.tags), None)


@main.command()
@click.option("--images", help="Folder whose subfolders hold the photos.  [env: FRUITS_IMAGES]")
@click.option("--store", help="Folder of all results.  [env: FRUITS_STORE]")
@tells_problems_in_a_sentence
def env(images: str | None, store: str | None) -> None:
    r"""Print what dagster's and dg's own commands need: eval "$(fruits env --images DIR --store DIR)"."""
    settings = read_settings(images=images, store=store)
    home = ensure_dagster_home(settings.store)
    for name, value in (("FRUITS_IMAGES", settings.images), ("FRUITS_STORE", settings.store), ("DAGSTER_HOME", home)):
        click.echo(f"export {name}={shlex.quote(str(value))}")


main.add_command(deploy_command)
main.add_command(doctor_command)
main.add_command(estimate_command)
main.add_command(clusters_command)


def entry() -> None:
    """Runs the command line and ends the process without waiting for the threads of C++ libraries.

    Their teardown has aborted a run (SIGABRT, "terminate called without an active exception") that had done all its
    work and printed its report. Spark's JVM ends by itself when its parent does.
    """
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    entry()
