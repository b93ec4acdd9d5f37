"""Opening the store that a command reads."""

from typing import TYPE_CHECKING

import click

from fruits_assets.settings import Settings
from spark_steps.storage.s3_address import is_s3

if TYPE_CHECKING:
    from spark_steps.store.store import Store


def open_store(settings: Settings, as_of: str | None = None) -> "Store":
    """Returns the store, and prints the default location where no store was named.

    Args:
        settings: The settings.
        as_of: The time or version at which the store is read, as ``as_it_was`` takes it; None for the present state.

    Raises:
        CalledWronglyError: ``as_of`` is neither a time nor a version.
        FruitsError: The store's bucket is not in the European Union, or its region cannot be read; or the store cannot
            be read at that time or version.
    """
    if "store" not in settings.model_fields_set:
        click.echo(f"Store {settings.store} (the default)", err=True)
    if is_s3(settings.store):
        # Imported here: it imports clients of AWS and Dagster, which takes seconds.
        from fruits_assets.aws.residency import check_residency

        check_residency(settings, locations=[settings.store])
    settings.export()
    # Imported here: they import pyarrow, which --help does not need.
    from spark_steps.store.store import Store
    from spark_steps.store.versions import as_it_was

    store = Store(settings.store)
    return store if as_of is None else as_it_was(store, as_of)
