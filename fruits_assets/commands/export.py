"""The command ``fruits export``: features of all photos for other programs."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from fruits_assets.commands.support.opening import open_store
from fruits_assets.commands.support.options import LocalPath, as_of_option, store_option
from fruits_assets.settings import read_settings
from fruits_assets.terminal.problems import reports_problems
from spark_steps.queries.exports.files import export_csv, export_npz, export_parquet
from spark_steps.queries.exports.huggingface import export_huggingface
from spark_steps.queries.exports.rows import Selection
from spark_steps.queries.exports.target import STANDARD_OUTPUT_DESCRIPTOR, descriptor_of, is_stream
from spark_steps.queries.exports.tfrecord import export_tfrecord, sidecar_of
from spark_steps.queries.splits import PARTS

_EXPORTS: dict[str, Callable[..., int]] = {
    "csv": export_csv,
    "npz": export_npz,
    "parquet": export_parquet,
    "tfrecord": export_tfrecord,
    "huggingface": export_huggingface,
}
# Without these options the labels NA and null are missing, and 007 is the number 7.
_READ_AS_TEXT = (
    "Read it by pandas.read_csv(FILE, keep_default_na=False, "
    'dtype=dict.fromkeys(["image_id", "path", "folder", "label"], str)), which keeps labels such as NA and 007 as text.'
)


@dataclass(frozen=True)
class _Target:
    """Where an export goes.

    Attributes:
        kind: Its format, a key of ``_EXPORTS``.
        path: The file or folder.
    """

    kind: str
    path: Path


def _target_option(kind: str, metavar: str, described: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(f"--{kind}", kind, metavar=metavar, type=LocalPath(path_type=Path), help=described)


@click.command("export")
@store_option
@as_of_option
@_target_option("csv", "FILE", "Write image_id, path, folder, label, reduced_1 to reduced_k.  [-: standard output]")
@_target_option(
    "npz",
    "FILE",
    "Write arrays X, labels, label_ids, classes, ids, paths, folders, pca_model for numpy.  [-: standard output]",
)
@_target_option(
    "parquet",
    "FILE",
    "Write image_id, path, folder, label, reduced, pca_model as one plain file.  [-: standard output]",
)
@_target_option(
    "tfrecord",
    "FILE",
    "Write a tf.train.Example for each photo, and the labels to FILE.json; compressed where FILE ends in .gz.  "
    "[-: standard output]",
)
@_target_option("huggingface", "DIR", "Write a folder for load_from_disk and load_dataset of the library datasets.")
@click.option(
    "--features",
    type=click.Choice(["reduced", "full"]),
    default="reduced",
    show_default=True,
    help="The numbers of each photo: reduced by the PCA, or all features of the network, without the PCA.",
)
@click.option("--split", is_flag=True, help="With the part of each photo by fruits audit: train, validation or test.")
@click.option("--only", type=click.Choice(PARTS), help="Only the photos of this part, with its name.")
@click.option("--force", is_flag=True, help="Replace what is there. A pipe or a device is written to, in any case.")
@reports_problems
def export_command(
    store: str | None,
    as_of: str | None,
    features: str,
    split: bool,
    only: str | None,
    force: bool,
    **given: Path | None,
) -> None:
    """Write the features of all photos to one file or folder, for other programs.

    It is there when it is complete, not before. It is a copy: fruits erase does not reach it.

    \b
    Examples:
      fruits export --store results --csv fruits.csv
      fruits export --store s3://bucket --npz fruits.npz --split
      fruits export --store results --parquet fruits.parquet --as-of 2026-07-30
      fruits export --store results --csv - | gzip > fruits.csv.gz
      fruits export --store results --huggingface fruits --features full --split
      fruits export --store results --tfrecord train.tfrecord.gz --features full --only train
    """
    target = _target_of(given)
    opened = open_store(read_settings(store=store), as_of)
    to_standard_output = descriptor_of(target.path) == STANDARD_OUTPUT_DESCRIPTOR
    if to_standard_output and target.kind not in ("csv", "huggingface") and sys.stdout.isatty():
        raise click.UsageError(
            f"Only a CSV is text for a terminal. Give a file, or send it on: --{target.kind} - > fruits.{target.kind}"
        )
    rows = _EXPORTS[target.kind](opened, target.path, Selection(features == "full", split, only), force=force)
    if to_standard_output:
        click.echo(f"{rows:,} photos", err=True)
        return
    click.echo(f"{rows:,} photos in {target.path}")
    for line in _advice(target):
        click.echo(line)


def _target_of(given: dict[str, Path | None]) -> _Target:
    targets = [_Target(kind, path) for kind, path in given.items() if path is not None]
    if len(targets) != 1:
        raise click.UsageError(
            "Give one of --csv FILE, --npz FILE, --parquet FILE, --tfrecord FILE and --huggingface DIR."
        )
    return targets[0]


def _advice(target: _Target) -> list[str]:
    """Returns how to read an export, where that is not plain."""
    if target.kind == "csv":
        return [_READ_AS_TEXT]
    if target.kind == "huggingface":
        return ["Read it by datasets.load_from_disk(DIR) or datasets.load_dataset(DIR)."]
    if target.kind == "tfrecord" and not is_stream(target.path):
        return [f"The labels are in {sidecar_of(target.path)}, in the order of label_id."]
    return []
