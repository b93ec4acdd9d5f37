"""What runs of Glue jobs have cost in a month, from the service's own record of them.

A run that is over has its DPU-seconds, or its time and its workers. A run that is under way counts with its whole worst
case, by its own time limit and workers, until it is over.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from fruits_assets.aws.infrastructure import RUN_ARGUMENT, STACK_ARGUMENT
from fruits_assets.aws.sessions import client, error_code, translate_errors
from fruits_assets.money.dpus.prices import DpuPrices
from fruits_assets.money.dpus.workers import most_eur, used_eur
from fruits_assets.money.spend import ENDED_RUNS, JobSpend

# The longest time limit of a run is seven days.
_LOOK_BACK = timedelta(days=8)
_REQUESTS_AT_A_TIME = 8
# Of a run of others one hour counts, as of their clusters: the check is repeated before every new run.
_MINUTES_OF_OTHERS = 60


def run_spend(region: str, prices: DpuPrices, month: datetime) -> tuple[JobSpend, ...]:
    """Returns the runs of the account and region that have cost something in the month, the newest first.

    Args:
        region: An AWS region.
        prices: Prices of the region.
        month: First moment of the month.

    Raises:
        FruitsError: The service cannot be read.
    """
    service = client("glue", region)
    with translate_errors("add up what Glue jobs cost this month"):
        names = [name for page in service.get_paginator("list_jobs").paginate() for name in page["JobNames"]]
        with ThreadPoolExecutor(_REQUESTS_AT_A_TIME) as pool:
            listed = list(pool.map(lambda name: list(runs_of_job(service, name)), names))
    found = [_spent(run, prices) for runs in listed for run in runs if _counts(run, month)]
    return tuple(sorted(found, key=lambda one: one.created, reverse=True))


def runs_of_job(service: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yields the runs of a job that Glue still knows; none of a job that is gone.

    Args:
        service: boto3's client of Glue.
        name: The job's name.

    Raises:
        ClientError: Glue refuses.
    """
    try:
        for page in service.get_paginator("get_job_runs").paginate(JobName=name):
            yield from page["JobRuns"]
    except ClientError as error:
        # Deleted since it was listed.
        if error_code(error) != "EntityNotFoundException":
            raise


def _counts(run: Mapping[str, Any], month: datetime) -> bool:
    if run["StartedOn"] < month - _LOOK_BACK:
        return False
    return run["JobRunState"] not in ENDED_RUNS or run.get("CompletedOn", run["StartedOn"]) > month


def _spent(run: Mapping[str, Any], prices: DpuPrices) -> JobSpend:
    arguments = run.get("Arguments", {})
    stack, over, used = arguments.get(STACK_ARGUMENT), run["JobRunState"] in ENDED_RUNS, used_eur(run, prices)
    dpus = float(run.get("MaxCapacity", 0.0))
    # Without a time limit of its own it is one of others.
    minutes = run.get("Timeout", _MINUTES_OF_OTHERS)
    if stack is None:
        minutes = run.get("ExecutionTime", 0) / 60 + _MINUTES_OF_OTHERS
    return JobSpend(
        id=run["Id"],
        application=run["JobName"],
        name=arguments.get(RUN_ARGUMENT, ""),
        state=run["JobRunState"],
        stack=stack,
        created=run["StartedOn"],
        eur=used,
        rest_eur=0.0 if over else max(0.0, most_eur(minutes, dpus, prices) - used),
        kind="Glue job",
    )
