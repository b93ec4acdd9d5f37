"""Options that several commands have."""

import click

from fruits_assets.commands.completion import folders

images_option = click.option(
    "--images",
    shell_complete=folders,
    help="Folder whose subfolders hold the photos, one folder a label.  [env: FRUITS_IMAGES]",
)
store_option = click.option("--store", shell_complete=folders, help="Folder of all results.  [env: FRUITS_STORE]")
