"""The question of ``fruits run`` before other weights replace the features of a store."""

import sys

import click

from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError
from spark_steps.features.weights import check_source, named, replaced_network
from spark_steps.storage.s3_address import is_s3
from spark_steps.store.store import Store


def agree_to_other_weights(settings: Settings, *, yes: bool) -> None:
    """Asks whether weights other than those of the store should replace all of its features.

    Args:
        settings: The store, and the requested weights.
        yes: Whether the user has agreed already.

    Raises:
        FruitsError: Standard input is not a terminal, so that nobody can be asked, or the weights do not exist.
        click.Abort: The answer is no.
    """
    if settings.weights is None or yes:
        return
    if is_s3(settings.store) or is_s3(settings.weights):
        # Imported here: it imports clients of AWS and Dagster, which takes seconds.
        from fruits_assets.aws.residency import check_residency

        check_residency(settings, locations=[settings.store, settings.weights])
    check_source(settings.weights, settings.scaling)
    store = Store(settings.store)
    replaced = replaced_network(settings.weights, store.mobilenet_models, settings.scaling)
    if replaced is None or not (photos := _photos_with_features(store)):
        return
    what = (
        f"{store.root} has the network {replaced}. With the weights {named(settings.weights, settings.scaling)} "
        f"{photos:,} photos go through the network again, and all of their features are replaced."
    )
    if not sys.stdin.isatty():
        raise FruitsError(f"{what} Add --yes if that is wanted; leave --weights and FRUITS_WEIGHTS out if it is not.")
    click.confirm(f"{what}\nGo on?", abort=True, err=True)


def _photos_with_features(store: Store) -> int:
    # Imported here: it imports pandas.
    from spark_steps.store.summaries import summarise, total

    return total(summarise(store.mobilenet_features)).usable.count
