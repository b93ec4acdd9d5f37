"""The command ``fruits report``: what a store holds."""

import json

import click

from fruits_assets.commands.opening import open_store
from fruits_assets.commands.options import store_option
from fruits_assets.report import as_text, read_report
from fruits_assets.settings import read_settings
from fruits_assets.terminal import tells_problems_in_a_sentence


@click.command("report")
@store_option
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@tells_problems_in_a_sentence
def report_command(store: str | None, as_json: bool) -> None:
    """Print what a store holds.

    \b
    Examples:
      fruits report --store results
      fruits report --store results --json | jq .variance_kept
    """
    told = read_report(open_store(read_settings(store=store)).root)
    click.echo(json.dumps(told.as_json(), indent=2, ensure_ascii=False) if as_json else as_text(told))
