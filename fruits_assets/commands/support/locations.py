"""Messages about locations that no option gave, and about locations that do not go together."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from spark_steps.storage.locations import is_remote


def origin(settings: Settings, name: str) -> str:
    """Returns the source of a setting that no option gave: its variable, the file ``.env``, or the default."""
    variable = f"FRUITS_{name.upper()}"
    if name not in settings.model_fields_set:
        return "the default"
    return variable if variable in {known.upper() for known in os.environ} else f"{variable} in .env"


def check_that_photos_are_named(settings: Settings) -> None:
    """Raises a FruitsError where the images are not set and the default folder does not exist."""
    if (
        "images" not in settings.model_fields_set
        and not is_remote(settings.images)
        and not Path(settings.images).exists()
    ):
        raise FruitsError(
            f"Nothing says where the photos are, and the default {settings.images} does not exist. Give the folder, "
            "--images FOLDER, or try it on generated photos: fruits demo."
        )


def make_store(settings: Settings) -> None:
    """Makes the store's folder before any work, so that a folder without write permission is reported at once.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    if not is_remote(settings.store):
        Path(settings.store).mkdir(parents=True, exist_ok=True)
        if not os.access(settings.store, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), settings.store)


def messages(settings: Settings, images: str | None, store: str | None) -> Iterator[str]:
    """Yields a line on each location that was not given, and a warning where two do not go together.

    Args:
        settings: The locations.
        images: Value of the option for the images, None where it was not given.
        store: Value of the option for the store, None where it was not given.
    """
    for name, given in (("images", images), ("store", store)):
        if given is None:
            yield f"{name.capitalize()} {getattr(settings, name)} ({origin(settings, name)})"
    if lies_within(settings.store, settings.images):
        yield (
            f"  warning: the store {settings.store} lies in the images folder, so that each run looks for photos among "
            "its files too. Another location is better."
        )


def lies_within(location: str, folder: str) -> bool:
    """Returns whether a location is a folder or lies below it, both normalised; links are followed."""
    if not is_remote(location):
        location, folder = os.path.realpath(location), folder if is_remote(folder) else os.path.realpath(folder)
    return location == folder or location.startswith(f"{folder}/")
