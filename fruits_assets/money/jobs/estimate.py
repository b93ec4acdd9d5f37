"""Estimated time and cost of a number of photos as serverless jobs, a job for each step."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from fruits_assets.money.costs import CORES_PER_NODE
from fruits_assets.money.estimate import (
    IMAGES_PER_FOLDER,
    STEP_OVERHEAD_SECONDS,
    pace_of,
    work_of,
)
from fruits_assets.money.jobs import workers
from fruits_assets.money.jobs.prices import WorkerPrices
from fruits_assets.money.s3_requests import Requests, requests_of_run
from fruits_assets.settings import Settings

# Assumed: from the request to the first task, for an application that has to start too; AWS says about a minute.
JOB_START_UP_SECONDS = 90.0
# raw_images, mobilenet_features and the check of the features for each range of folders; pca_model and
# reduced_features for the whole store.
_STEPS_OF_FOLDERS, _WHOLE_STEPS = 3, 2


@dataclass(frozen=True)
class JobsEstimate:
    """Estimated time and cost.

    Attributes:
        images: Number of photos.
        jobs: Number of jobs.
        parts: Ranges of folders that raw_images and mobilenet_features are to be run in.
        executors: Executors of each job.
        executor: Their size.
        start_up_seconds: Time until the jobs are ready, all together, in which nothing is billed.
        work_seconds: Time in which workers are billed.
        jobs_eur: Cost of the workers.
        requests_eur: Cost of the requests to S3.
        worst_case_eur: The most that one job can cost.
    """

    images: int
    jobs: int
    parts: int
    executors: int
    executor: workers.Worker
    start_up_seconds: float
    work_seconds: float
    jobs_eur: float
    requests_eur: float
    worst_case_eur: float

    @property
    def total_seconds(self) -> float:
        """From the first request to the end of the last job."""
        return self.start_up_seconds + self.work_seconds

    @property
    def total_eur(self) -> float:
        """Cost of workers and requests, without storage."""
        return self.jobs_eur + self.requests_eur

    def as_json(self) -> dict[str, Any]:
        """Returns the estimate as a JSON document for scripts."""
        return {**asdict(self), "total_seconds": self.total_seconds, "total_eur": self.total_eur}


def estimate_jobs(
    images: int,
    prices: WorkerPrices,
    settings: Settings,
    megapixels: float,
    images_per_second_per_core: float | None = None,
    folders: int | None = None,
) -> JobsEstimate:
    """Estimates time and cost of the whole pipeline, for photos that are all new.

    The executors are counted as all there from the first task to the last; each takes its minute at least.

    Args:
        images: Number of photos.
        prices: Prices of the region.
        settings: Sizes, number of executors, and time limits.
        megapixels: Megapixels of each photo.
        images_per_second_per_core: Rate of decoding and network, where it was measured; else this project's.
        folders: Number of folders; None for one for 500 photos.
    """
    executor = workers.executor(settings)
    cores = settings.max_executors * executor.vcpus
    work = work_of_jobs(images, cores, settings, megapixels, images_per_second_per_core, folders)
    model = workers.WorkerCostModel.of_job(settings, prices, "")
    return work.estimate(
        settings,
        executor,
        start_up_seconds=work.jobs * JOB_START_UP_SECONDS,
        jobs_eur=max(work.seconds, work.jobs * 60.0) * model.eur_per_hour / 3600,
        requests_eur=work.requests.usd * prices.rate.eur_per_usd,
        worst_case_eur=workers.worst_case_eur(settings, prices),
    )


@dataclass(frozen=True)
class JobsWork:
    """The work of a number of photos, cut into jobs.

    Attributes:
        images: Number of photos.
        jobs: Number of jobs.
        parts: Ranges of folders that raw_images and mobilenet_features are to be run in.
        seconds: Time of all jobs together, without their start-up.
        requests: Requests to S3.
    """

    images: int
    jobs: int
    parts: int
    seconds: float
    requests: Requests

    def estimate(self, settings: Settings, executor: workers.Worker, **of_the_engine: float) -> JobsEstimate:
        """Returns the estimate of an engine.

        Args:
            settings: Number of executors.
            executor: Their size.
            **of_the_engine: The rest of a ``JobsEstimate``: start-up and costs, which each engine has of its own.
        """
        return JobsEstimate(
            images=self.images,
            jobs=self.jobs,
            parts=self.parts,
            executors=settings.max_executors,
            executor=executor,
            work_seconds=self.seconds,
            **of_the_engine,
        )


def work_of_jobs(
    images: int,
    cores: int,
    settings: Settings,
    megapixels: float,
    images_per_second_per_core: float | None,
    folders: int | None,
) -> JobsWork:
    """Returns the work of the whole pipeline where each step is a job.

    Args:
        images: Number of photos.
        cores: Cores of all executors.
        settings: Time limits.
        megapixels: Megapixels of each photo.
        images_per_second_per_core: Rate of decoding and network, where it was measured; else this project's.
        folders: Number of folders; None for one for 500 photos.
    """
    pace = pace_of(cores / CORES_PER_NODE, megapixels, images_per_second_per_core)
    folders = min(images, folders or math.ceil(images / IMAGES_PER_FOLDER))
    requests = requests_of_run(images, folders, math.ceil(pace.cores))
    work = work_of(pace, images, folders, requests)
    longest = max(work["folders_and_files"], work["mobilenet_features"])
    parts = math.ceil(longest / max(1.0, settings.step_minutes * 60 - STEP_OVERHEAD_SECONDS)) or 1
    jobs = _STEPS_OF_FOLDERS * parts + _WHOLE_STEPS
    return JobsWork(images, jobs, parts, sum(work.values()) + jobs * STEP_OVERHEAD_SECONDS, requests)
