"""The command ``fruits export``: the reduced features in one file."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import as_of_option, store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.queries.export import export_csv, export_npz, export_parquet


class _LocalFile(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "://" in str(value):
            self.fail(f"{value} is no file of this machine. Write one here, and copy it there.", param, ctx)
        return super().convert(value, param, ctx)


_FILE = _LocalFile(path_type=Path)
_STANDARD_OUTPUT = Path("-")


@click.command("export")
@store_option
@as_of_option
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
@click.option(
    "--parquet",
    "parquet_file",
    type=_FILE,
    help="Write image_id, path, folder, label, reduced, pca_model as one plain file.  [-: standard output]",
)
@click.option("--force", is_flag=True, help="Replace the file.")
@reports_problems
def export_command(
    store: str | None,
    as_of: str | None,
    csv_file: Path | None,
    npz_file: Path | None,
    parquet_file: Path | None,
    force: bool,
) -> None:
    """Write the reduced features of all photos to one file, for other programs.

    \b
    Examples:
      fruits export --store results --csv fruits.csv
      fruits export --store s3://bucket --npz fruits.npz
      fruits export --store results --parquet fruits.parquet --as-of 2026-07-30
      fruits export --store results --csv - | gzip > fruits.csv.gz
    """
    given = [
        (file, export)
        for file, export in ((csv_file, export_csv), (npz_file, export_npz), (parquet_file, export_parquet))
        if file is not None
    ]
    if len(given) != 1:
        raise click.UsageError("Give one of --csv FILE, --npz FILE and --parquet FILE.")
    ((target, export),) = given
    opened = open_store(read_settings(store=store), as_of)
    if target != _STANDARD_OUTPUT:
        click.echo(f"{export(opened, target, force=force):,} photos in {target}")
        return
    if not csv_file and sys.stdout.isatty():
        kind = "npz" if npz_file else "parquet"
        raise click.UsageError(
            f"Only a CSV is text for a terminal. Give a file, or send it on: --{kind} - > fruits.{kind}"
        )
    # Written to a file first: the reader of the pipe gets the complete export, or nothing and an error message.
    with tempfile.TemporaryDirectory(prefix="fruits-export-") as scratch:
        whole = Path(scratch) / "export"
        rows = export(opened, whole)
        with whole.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    click.echo(f"{rows:,} photos", err=True)
