"""The command ``fruits export``: the reduced features in one file."""

import sys
from pathlib import Path

import click

from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import LocalPath, as_of_option, store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.queries.export import export_csv, export_npz, export_parquet
from spark_steps.queries.export_target import STANDARD_OUTPUT_DESCRIPTOR, descriptor_of

_FILE = LocalPath(path_type=Path)
# Without these options the labels NA and null are missing, and 007 is the number 7.
_READ_AS_TEXT = (
    "Read it by pandas.read_csv(FILE, keep_default_na=False, "
    'dtype=dict.fromkeys(["image_id", "path", "folder", "label"], str)), which keeps labels such as NA and 007 as text.'
)


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
@click.option("--force", is_flag=True, help="Replace the file. A pipe or a device is written to, with and without.")
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
    to_standard_output = descriptor_of(target) == STANDARD_OUTPUT_DESCRIPTOR
    if to_standard_output and not csv_file and sys.stdout.isatty():
        kind = "npz" if npz_file else "parquet"
        raise click.UsageError(
            f"Only a CSV is text for a terminal. Give a file, or send it on: --{kind} - > fruits.{kind}"
        )
    rows = export(opened, target, force=force)
    if to_standard_output:
        click.echo(f"{rows:,} photos", err=True)
        return
    click.echo(f"{rows:,} photos in {target}")
    if csv_file:
        click.echo(_READ_AS_TEXT)
