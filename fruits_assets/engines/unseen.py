"""The end of what a launcher may not look at: AWS may deny to look, and permit to end what runs have created."""

from datetime import timedelta

import dagster as dg

from fruits_assets.engines.engine import Engine, Report
from fruits_assets.engines.in_flight import others_in_flight, places_of_runs
from fruits_assets.settings import Settings
from spark_steps.denials import denial_of
from spark_steps.errors import FruitsError


def end_unseen(
    engine: Engine,
    instance: dg.DagsterInstance,
    settings: Settings,
    error: FruitsError,
    report: Report,
    run_id: str | None = None,
) -> None:
    """Ends what runs of an instance have created, where AWS denies to look at it; nothing where nothing was created.

    What they have used without creating it may have work of others, and is left to whoever has created it.

    Args:
        engine: The engine that the steps have run on.
        instance: The Dagster instance of the runs.
        settings: The settings, with the greatest age of what can have been created.
        error: Why it cannot be looked at.
        report: Takes progress messages, a line at a time.
        run_id: The id of a run that is ending, and needs nothing any more.

    Raises:
        FruitsError: It is not a denial, or what is there is not, or cannot be, ended.
    """
    longest = timedelta(minutes=settings.max_age_minutes)
    used, created = places_of_runs(instance, longest)
    if denial_of(error) is None or (used and not created):
        raise error
    if created and not others_in_flight(instance, longest, run_id):
        engine.end_unseen(sorted(created), error, report)
