"""The command ``fruits convert``: conversion of a store of an earlier release to Delta tables."""

import click

from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import reports_problems


@click.command("convert")
@store_option
@reports_problems
def convert_command(store: str | None) -> None:
    """Convert a store of an earlier release in place; no photo is run through the network again.

    A conversion that was interrupted can be repeated.

    \b
    Example:
      fruits convert --store results
    """
    from spark_steps.store.conversion import convert

    opened = open_store(read_settings(store=store))
    if not convert(opened, click.echo):
        click.echo(f"There is nothing to convert in {opened.root}.")
