"""The commands ``fruits ui`` and ``fruits env``: Dagster's UI and Dagster's own commands, with our settings."""

import json
import os
import shlex

import click

from fruits_assets.commands.completion import folders
from fruits_assets.commands.support.options import images_option, store_option
from fruits_assets.instance.home import ensure_dagster_home, last_store
from fruits_assets.settings import Settings, read_settings
from fruits_assets.terminal.problems import reports_problems


@click.command("ui")
@click.option(
    "--images",
    shell_complete=folders,
    help="Images root for runs started in the UI.  [env: FRUITS_IMAGES; else of the last run]",
)
@click.option("--store", shell_complete=folders, help="Store for them.  [env: FRUITS_STORE; else of the last run]")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--verbose", is_flag=True, help="With all that Dagster says of its work.")
@reports_problems
def ui_command(images: str | None, store: str | None, port: int, verbose: bool) -> None:
    """Start Dagster's webserver and daemon on the asset graph.

    \b
    Examples:
      fruits ui                                  # with the images and the store of the last run
      fruits ui --images photos --store results --port 3001
    """
    # Imported here: only this command needs it.
    from fruits_assets.instance.ui_process import serve

    settings = named_or_last(images, store)
    os.environ |= {"FRUITS_IMAGES": settings.images, "FRUITS_STORE": settings.store}
    click.echo(f"Images {settings.images}, store {settings.store}", err=True)
    serve(port, verbose=verbose)


def named_or_last(images: str | None, store: str | None) -> Settings:
    """Returns the settings, and makes the Dagster home; what no option and no setting names is that of the last run."""
    # As for the local deployment: others need locations in S3, which may be those of the last run.
    named = read_settings(deployment="local", images=images, store=store).model_fields_set
    settings = read_settings(images=images, store=store if "store" in named else last_store())
    ensure_dagster_home(settings.store)
    if "images" in named:
        return settings
    return read_settings(images=_images_of_last_run(), store=settings.store)


def _images_of_last_run() -> str | None:
    # Imported here: Dagster takes seconds to import, and is needed only where the images are not given.
    import dagster as dg

    from fruits_assets.instance.tags import IMAGES_TAG

    with dg.DagsterInstance.get() as instance:
        return next((run.tags[IMAGES_TAG] for run in instance.get_runs(limit=50) if IMAGES_TAG in run.tags), None)


@click.command("env")
@images_option
@store_option
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@reports_problems
def env_command(images: str | None, store: str | None, as_json: bool) -> None:
    """Print what dagster's and dg's own commands need, as lines for a shell to evaluate.

    They are the settings of the images and the store, and the DAGSTER_HOME of the store's runs.

    \b
    Examples:
      eval "$(fruits env --images photos --store results)"
      fruits env --images photos --store results --json
    """
    settings = read_settings(images=images, store=store)
    home = ensure_dagster_home(settings.store)
    variables = {"FRUITS_IMAGES": settings.images, "FRUITS_STORE": settings.store, "DAGSTER_HOME": str(home)}
    if as_json:
        click.echo(json.dumps(variables, indent=2, ensure_ascii=False))
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
