"""Options that several commands have."""

import click

from fruits_assets.commands.completion import folders

images_option = click.option(
    "--images",
    shell_complete=folders,
    help="Folder whose subfolders hold the photos, one folder a label.  [env: FRUITS_IMAGES]",
)
store_option = click.option("--store", shell_complete=folders, help="Folder of all results.  [env: FRUITS_STORE]")
as_of_option = click.option(
    "--as-of",
    metavar="TIME|VERSION",
    help="The store as it was: at a time such as 2026-07-30T18:05:00, in UTC unless it has an offset, a date being its "
    "first second; or when a version such as raw_images@3 was committed, a number alone being one of reduced_features. "
    "fruits history lists both.",
)
