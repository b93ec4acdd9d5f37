"""Options that several commands have."""

from typing import Any

import click

from fruits_assets.commands.completion import folders
from spark_steps.errors import FruitsError
from spark_steps.features.names import SCALING_NAMES


class LocalPath(click.Path):
    """A path of this machine to write to; ``~`` is the home directory where no shell has replaced it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the path; a URI is refused, because a folder with the name of its scheme would be made."""
        if "://" in str(value):
            self.fail(f"{value} is no path of this machine. Write here, and copy it there.", param, ctx)
        # Imported here: it imports pyarrow, which --help does not need.
        from spark_steps.storage.locations import with_home

        try:
            return super().convert(with_home(str(value)), param, ctx)
        except FruitsError as error:
            self.fail(str(error), param, ctx)


images_option = click.option(
    "--images",
    shell_complete=folders,
    help="Folder whose subfolders hold the photos, one folder a label.  [env: FRUITS_IMAGES]",
)
store_option = click.option("--store", shell_complete=folders, help="Folder of all results.  [env: FRUITS_STORE]")
scaling_option = click.option(
    "--scaling",
    type=click.Choice(SCALING_NAMES),
    help="How the network of a weights file wants pixels: -1 to 1, 0 to 1, 0 to 255, or by the mean and the standard "
    "deviation of ImageNet.  [env: FRUITS_SCALING; default: tf]",
)
as_of_option = click.option(
    "--as-of",
    metavar="TIME|VERSION",
    help="The store as it was: at a time such as 2026-07-30T18:05:00, in UTC unless it has an offset, a date being its "
    "first second; or when a version such as raw_images@3 was committed, a number alone being one of reduced_features. "
    "fruits history lists both.",
)
