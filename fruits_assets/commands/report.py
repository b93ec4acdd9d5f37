"""The command ``fruits report``: the content of a store, and what of it is stale."""

import json

import click

from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import as_of_option, store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import reports_problems


@click.command("report")
@store_option
@as_of_option
@click.option(
    "--json", "as_json", is_flag=True, help="For scripts; with all rejected photos, and folders that are stale."
)
@click.option("--rejected", is_flag=True, help="List all rejected photos instead: path, a tab, and the reason.")
@reports_problems
def report_command(store: str | None, as_of: str | None, as_json: bool, rejected: bool) -> None:
    """Print what a store holds, and what of it is stale.

    \b
    Examples:
      fruits report --store results
      fruits report --store results --json | jq .variance_kept
      fruits report --store results --rejected | cut -f 1
      fruits report --store results --as-of 2026-07-30
    """
    if as_json and rejected:
        raise click.UsageError("Give one of --json, which has the rejected photos too, and --rejected.")
    opened = open_store(read_settings(store=store), as_of)
    # Imported here: they import pyarrow, which --help does not need.
    from fruits_assets.commands.support.report_text import as_text, rejected_lines
    from spark_steps.queries.report import read_report

    found = read_report(opened.root, opened.as_of)
    if rejected:
        click.echo("".join(f"{line}\n" for line in rejected_lines(found.rejected_photos)), nl=False)
    else:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False) if as_json else as_text(found))
