"""The command ``fruits history``: the commits of the tables of a store."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import printable, reports_problems

if TYPE_CHECKING:
    from spark_steps.store.versions import Change

_HEADINGS = ("time (UTC)", "table", "version", "rows added", "removed", "files added", "removed", "run", "what")
_OF_NUMBERS = range(2, 7)


@click.command("history")
@store_option
@click.option("--json", "as_json", is_flag=True, help="For scripts; with the whole id of each run, its asset and step.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the newest N; left out: all.")
@reports_problems
def history_command(store: str | None, as_json: bool, limit: int | None) -> None:
    """List what changed when in the tables of a store, the newest first.

    Rows added are new or changed rows, rows removed are deleted or changed rows. A row that stays the same is not
    counted, even if its file was rewritten: a compaction adds and removes no rows. A dash stands for a number that a
    commit of another program does not record.

    Every listed version can be read: --as-of of report, identify and export takes a time or TABLE@VERSION.

    \b
    Examples:
      fruits history --store results
      fruits history --store results --limit 20
      fruits report --store results --as-of raw_images@3
    """
    opened = open_store(read_settings(store=store))
    # Imported here: it imports pyarrow, which --help does not need.
    from spark_steps.store.versions import history

    changes = history(opened, limit)
    if as_json:
        click.echo(json.dumps([as_document(one) for one in changes], indent=2, ensure_ascii=False))
    else:
        click.echo(as_text(changes))


def as_text(changes: Sequence["Change"]) -> str:
    """Returns changes as a text table with headings, a line for each change."""
    rows = [_HEADINGS, *map(_cells, changes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = (
        [
            cell.rjust(width) if number in _OF_NUMBERS else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    )
    return "\n".join("  ".join(cells).rstrip() for cells in aligned)


def _cells(change: "Change") -> tuple[str, ...]:
    commit = change.commit
    return (
        f"{commit.at:%Y-%m-%d %H:%M:%S}",
        change.table,
        str(commit.version),
        _number(change.rows_added),
        _number(change.rows_removed),
        _number(commit.files_added),
        _number(commit.files_removed),
        printable(commit.about.get("run_id", "")[:8]),
        # The last column, because it may be long.
        printable(change.what),
    )


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def as_document(change: "Change") -> dict[str, Any]:
    """Returns a change as a JSON document."""
    commit = change.commit
    return {
        "time": f"{commit.at:%Y-%m-%dT%H:%M:%SZ}",
        "table": change.table,
        "version": commit.version,
        "what": change.what,
        "operation": commit.operation,
        "run_id": commit.about.get("run_id"),
        "step": commit.about.get("step"),
        "rows_added": change.rows_added,
        "rows_removed": change.rows_removed,
        "files_added": commit.files_added,
        "files_removed": commit.files_removed,
    }
