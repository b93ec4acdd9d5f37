"""The command ``fruits export``: the reduced features in one file."""

from pathlib import Path
from typing import Any

import click

from fruits_assets.commands.opening import open_store
from fruits_assets.commands.options import store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal import tells_problems_in_a_sentence
from spark_steps.export import export_csv, export_npz


class _LocalFile(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(f"{value} is no file of this machine. Write one here, and copy it there.", param, ctx)
        return super().convert(value, param, ctx)


_FILE = _LocalFile(path_type=Path)


@click.command("export")
@store_option
@click.option("--csv", "csv_file", type=_FILE, help="Write image_id, path, folder, label, reduced_1 to reduced_k.")
@click.option("--npz", "npz_file", type=_FILE, help="Write arrays X, labels, ids, paths, folders, pca_model for numpy.")
@click.option("--force", is_flag=True, help="Replace the file.")
@tells_problems_in_a_sentence
def export_command(store: str | None, csv_file: Path | None, npz_file: Path | None, force: bool) -> None:
    """Write the reduced features of all photos to one file, for other programs.

    \b
    Examples:
      fruits export --store results --csv fruits.csv
      fruits export --store s3://bucket --npz fruits.npz
    """
    target = csv_file or npz_file
    if target is None or (csv_file and npz_file):
        raise click.UsageError("Give one of --csv FILE and --npz FILE.")
    export = export_csv if csv_file else export_npz
    rows = export(open_store(read_settings(store=store)), target, force=force)
    click.echo(f"{rows:,} photos in {target}")
