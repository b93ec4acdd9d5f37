"""Estimated time and cost of a number of photos on Databricks, a run and its cluster for each step."""

from fruits_assets.money.dbus.prices import DbuPrices
from fruits_assets.money.dbus.workers import DbuCostModel, cores_of, size_of, worst_case_eur
from fruits_assets.money.jobs.estimate import JobsEstimate, work_of_jobs
from fruits_assets.settings import Settings

# Assumed: from the request to the first task. Four to six minutes are reported for a cluster; the environment comes
# after that.
CLUSTER_START_UP_SECONDS = 6 * 60.0


def estimate_workspace(
    images: int,
    prices: DbuPrices,
    settings: Settings,
    megapixels: float,
    images_per_second_per_core: float | None = None,
    folders: int | None = None,
) -> JobsEstimate:
    """Estimates time and cost of the whole pipeline, for photos that are all new.

    All nodes are counted as billed from the request for them.

    Args:
        images: Number of photos.
        prices: Prices of the region.
        settings: Sizes, number of executors, and time limits.
        megapixels: Megapixels of each photo.
        images_per_second_per_core: Rate of decoding and network, where it was measured; else this project's.
        folders: Number of folders; None for one for 500 photos.
    """
    work = work_of_jobs(images, cores_of(settings), settings, megapixels, images_per_second_per_core, folders)
    start_up = work.jobs * CLUSTER_START_UP_SECONDS
    return work.estimate(
        settings,
        size_of(settings).worker,
        start_up_seconds=start_up,
        jobs_eur=(start_up + work.seconds) * DbuCostModel.of_run(settings, prices, "").per_hour.total / 3600,
        requests_eur=work.requests.usd * prices.rate.eur_per_usd,
        worst_case_eur=worst_case_eur(settings, prices),
    )
