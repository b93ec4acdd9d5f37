"""The command ``fruits export``: the reduced features in one file."""

import shutil
import sys
import tempfile
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
_STANDARD_OUTPUT = Path("-")


@click.command("export")
@store_option
@click.option(
    "--csv",
    "csv_file",
    type=_FILE,
    help="Write image_id, path, folder, label, reduced_1 to reduced_k.  [-: standard output]",
)
@click.option(
    "--npz",
    "npz_file",
    type=_FILE,
    help="Write arrays X, labels, ids, paths, folders, pca_model for numpy.  [-: standard output]",
)
@click.option("--force", is_flag=True, help="Replace the file.")
@tells_problems_in_a_sentence
def export_command(store: str | None, csv_file: Path | None, npz_file: Path | None, force: bool) -> None:
    """Write the reduced features of all photos to one file, for other programs.

    \b
    Examples:
      fruits export --store results --csv fruits.csv
      fruits export --store s3://bucket --npz fruits.npz
      fruits export --store results --csv - | gzip > fruits.csv.gz
    """
    target = csv_file or npz_file
    if target is None or (csv_file and npz_file):
        raise click.UsageError("Give one of --csv FILE and --npz FILE.")
    export, opened = export_csv if csv_file else export_npz, open_store(read_settings(store=store))
    if target != _STANDARD_OUTPUT:
        click.echo(f"{export(opened, target, force=force):,} photos in {target}")
        return
    if npz_file and sys.stdout.isatty():
        raise click.UsageError("An NPZ is no text for a terminal. Give a file, or send it on: --npz - > fruits.npz")
    # By way of a file: whoever reads gets all of it, or nothing and the reason.
    with tempfile.TemporaryDirectory(prefix="fruits-export-") as scratch:
        whole = Path(scratch) / "export"
        rows = export(opened, whole)
        with whole.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    click.echo(f"{rows:,} photos", err=True)
