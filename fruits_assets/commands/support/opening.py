"""Opening the store that a command reads."""

import click

from fruits_assets.settings import Settings
from spark_steps.storage.s3_address import is_s3
from spark_steps.store.store import Store
from spark_steps.store.versions import as_it_was


def open_store(settings: Settings, as_of: str | None = None) -> Store:
    """Returns the store, which in S3 has to lie in the European Union; one that nobody has named is told.

    Args:
        settings: The settings.
        as_of: The moment as which it is read, as ``as_it_was`` takes it; None for now.

    Raises:
        CalledWronglyError: That is no moment.
        FruitsError: It does not lie there, or cannot be asked; or it cannot be read as it was then.
    """
    if "store" not in settings.model_fields_set:
        click.echo(f"Store {settings.store} (the default)", err=True)
    if is_s3(settings.store):
        # Here: it brings Dagster's clients of AWS, which take seconds to import.
        from fruits_assets.aws.residency import check_residency

        check_residency(settings, locations=[settings.store])
    store = Store(settings.store)
    return store if as_of is None else as_it_was(store, as_of)
