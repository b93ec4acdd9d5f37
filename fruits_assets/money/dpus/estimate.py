"""Estimated time and cost of a number of photos as runs of a Glue job, a run for each step."""

from fruits_assets.money.dpus.prices import DpuPrices
from fruits_assets.money.dpus.workers import LEAST_SECONDS, DpuCostModel, cores_of, size_of, worst_case_eur
from fruits_assets.money.jobs.estimate import JobsEstimate, work_of_jobs
from fruits_assets.settings import Settings

# Assumed: from the request to the first task, the environment's archive fetched and unpacked by each worker.
RUN_START_UP_SECONDS = 90.0


def estimate_runs(
    images: int,
    prices: DpuPrices,
    settings: Settings,
    megapixels: float,
    images_per_second_per_core: float | None = None,
    folders: int | None = None,
) -> JobsEstimate:
    """Estimates time and cost of the whole pipeline, for photos that are all new.

    All workers are counted as there from the first task to the last, and start-up as billed: whether it is, AWS does
    not say.

    Args:
        images: Number of photos.
        prices: Prices of the region.
        settings: Sizes, number of executors, and time limits.
        megapixels: Megapixels of each photo.
        images_per_second_per_core: Rate of decoding and network, where it was measured; else this project's.
        folders: Number of folders; None for one for 500 photos.
    """
    work = work_of_jobs(images, cores_of(settings), settings, megapixels, images_per_second_per_core, folders)
    start_up = work.jobs * RUN_START_UP_SECONDS
    billed = max(work.seconds + start_up, work.jobs * LEAST_SECONDS)
    return work.estimate(
        settings,
        size_of(settings).worker,
        start_up_seconds=start_up,
        jobs_eur=billed * DpuCostModel.of_run(settings, prices, "").eur_per_hour / 3600,
        requests_eur=work.requests.usd * prices.rate.eur_per_usd,
        worst_case_eur=worst_case_eur(settings, prices),
    )
