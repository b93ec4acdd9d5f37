"""What serverless jobs have cost in a month, from the service's own record of them.

A job that is over has what was billed for it, or what it has used while that is not billed yet. Of a job that runs the
service tells what it has used so far, late; so its whole worst case counts until it is over.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from fruits_assets.aws.infrastructure import STACK_TAG, WORST_CASE_TAG
from fruits_assets.aws.sessions import client, error_code, translate_errors
from fruits_assets.money.jobs.prices import WorkerPrices
from fruits_assets.money.spend import ENDED_JOBS, JobSpend

# The longest time limit of a job is seven days.
_LOOK_BACK = timedelta(days=8)
_REQUESTS_AT_A_TIME = 8
# What a running job of others costs is not known; the most that its application may use counts, for one hour.
_HOURS_OF_OTHERS = 1.0


def job_spend(region: str, prices: WorkerPrices, month: datetime) -> tuple[JobSpend, ...]:
    """Returns the jobs of the account and region that have cost something in the month, the newest first.

    Args:
        region: An AWS region.
        prices: Prices of the region.
        month: First moment of the month.

    Raises:
        FruitsError: The service cannot be read.
    """
    service = client("emr-serverless", region)
    with translate_errors("add up what EMR Serverless jobs cost this month"):
        listed = list(_listed(service, month))
        with ThreadPoolExecutor(_REQUESTS_AT_A_TIME) as pool:
            jobs = list(pool.map(lambda one: _job(service, one), listed))
        others = {job["applicationId"] for job in jobs if STACK_TAG not in job.get("tags", {})}
        limits = {one: _most_per_hour(service, one, prices) for one in others}
    found = [_spent(job, prices, limits.get(job["applicationId"], 0.0)) for job in jobs]
    return tuple(sorted(found, key=lambda one: one.created, reverse=True))


def used_eur(job: Mapping[str, Any], prices: WorkerPrices) -> float | None:
    """Returns what a job has cost by what was billed for it, or else has been used; None where neither is told.

    Args:
        job: The job as GetJobRun describes it.
        prices: Prices of the region.
    """
    used = job.get("billedResourceUtilization") or job.get("totalResourceUtilization")
    return prices.eur(used.get("vCPUHour", 0.0), used.get("memoryGBHour", 0.0)) if used else None


def _listed(service: Any, month: datetime) -> Iterator[tuple[str, str, str]]:
    """Yields application, id and state of each job that may have cost something in the month."""
    for page in service.get_paginator("list_applications").paginate():
        for application in page["applications"]:
            for job in _jobs_of(service, application["id"], month - _LOOK_BACK):
                if job["state"] not in ENDED_JOBS or job["updatedAt"] > month:
                    yield application["id"], job["id"], job["state"]


def _jobs_of(service: Any, application: str, since: datetime) -> Iterator[Mapping[str, Any]]:
    pages = service.get_paginator("list_job_runs").paginate(applicationId=application, createdAtAfter=since)
    try:
        for page in pages:
            yield from page["jobRuns"]
    except ClientError as error:
        # Deleted since it was listed.
        if error_code(error) != "ResourceNotFoundException":
            raise


def _job(service: Any, listed: tuple[str, str, str]) -> Mapping[str, Any]:
    application, job_id, state = listed
    if state in ENDED_JOBS and (known := _BILLED.get(job_id)):
        return known
    job: Mapping[str, Any] = service.get_job_run(applicationId=application, jobRunId=job_id)["jobRun"]
    if job.get("billedResourceUtilization") and job["state"] in ENDED_JOBS:
        _BILLED[job_id] = job
    return job


# Jobs that are over and billed, which do not change: a process asks for each once.
_BILLED: dict[str, Mapping[str, Any]] = {}


def _spent(job: Mapping[str, Any], prices: WorkerPrices, most_per_hour: float) -> JobSpend:
    tags = job.get("tags", {})
    over, used = job["state"] in ENDED_JOBS, used_eur(job, prices) or 0.0
    worst = _number(tags.get(WORST_CASE_TAG)) if STACK_TAG in tags else used + most_per_hour * _HOURS_OF_OTHERS
    return JobSpend(
        id=job["jobRunId"],
        application=job["applicationId"],
        name=job.get("name", ""),
        state=job["state"],
        stack=tags.get(STACK_TAG),
        created=job["createdAt"],
        eur=used,
        rest_eur=0.0 if over else max(0.0, worst - used),
    )


def _most_per_hour(service: Any, application: str, prices: WorkerPrices) -> float:
    most = service.get_application(applicationId=application)["application"].get("maximumCapacity", {})
    return prices.eur(_number(most.get("cpu")), _number(most.get("memory")))


def _number(text: str | None) -> float:
    """Returns the number at the beginning of a text such as ``20 vCPU``; 0 where there is none."""
    digits = (text or "").replace("v", " ").replace("V", " ").replace("G", " ").replace("g", " ").split()
    try:
        return float(digits[0]) if digits else 0.0
    except ValueError:
        return 0.0
