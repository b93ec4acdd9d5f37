"""The command ``fruits sample``: generated photos for trials."""

from pathlib import Path

import click

from fruits_assets.commands.support.options import LocalPath
from fruits_assets.terminal.problems import reports_problems


@click.command("sample")
@click.option("--out", required=True, type=LocalPath(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--photos", default=24, show_default=True, type=click.IntRange(1), help="Photos of each fruit.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Other seeds, other photos.")
@reports_problems
def sample_command(out: Path, photos: int, seed: int) -> None:
    """Write generated photos of eight fruits, a folder each; the same for the same seed.

    \b
    Example:
      fruits sample --out generated --photos 100
    """
    # Imported here: it imports numpy, which --help does not need.
    from fruits_assets.sample_photos import write_sample

    count = write_sample(out, photos, seed)
    click.echo(f"{count} photos in {out}")
