"""Opening the store that a command reads."""

import click

from fruits_assets.settings import Settings
from spark_steps.s3 import is_s3
from spark_steps.store import Store


def open_store(settings: Settings) -> Store:
    """Returns the store, which in S3 has to lie in the European Union; one that nobody has named is told.

    Raises:
        FruitsError: It does not, or cannot be asked.
    """
    if "store" not in settings.model_fields_set:
        click.echo(f"Store {settings.store} (the default)", err=True)
    if is_s3(settings.store):
        # Here: it brings Dagster's clients of AWS, which take seconds to import.
        from fruits_assets.residency import check_residency

        check_residency(settings, places=[settings.store])
    return Store(settings.store)
