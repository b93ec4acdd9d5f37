"""What the whole account has spent in the month, and the most that a deployment's next job may cost."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from fruits_assets.aws.sessions import client
from fruits_assets.money.budget import CLUSTER, JOB, Subject, worst_case_eur
from fruits_assets.money.dbus import spend as dbu_spend
from fruits_assets.money.dbus import workers as dbu_workers
from fruits_assets.money.dbus.prices import DbuPrices, read_dbu_prices
from fruits_assets.money.dpus import workers as dpu_workers
from fruits_assets.money.dpus.prices import read_dpu_prices
from fruits_assets.money.dpus.spend import run_spend
from fruits_assets.money.jobs import workers
from fruits_assets.money.jobs.prices import read_worker_prices
from fruits_assets.money.jobs.spend import job_spend
from fruits_assets.money.prices import Prices
from fruits_assets.money.spend import Spend, month_spend, month_start
from fruits_assets.settings import Settings


def account_spend(settings: Settings, prices: Prices, now: datetime, emr: Any = None) -> Spend:
    """Returns what clusters and jobs of the account and region have cost in the month, whichever engine ran them.

    Args:
        settings: The region, and whether a Databricks workspace is looked at.
        prices: Prices of nodes.
        now: The present time, with a time zone.
        emr: boto3's client of EMR, None for a new one.

    Raises:
        FruitsError: A service cannot be read.
    """
    spend = month_spend(emr or client("emr", settings.region), prices, now)
    jobs = job_spend(settings.region, read_worker_prices(settings), month_start(now))
    runs = run_spend(settings.region, read_dpu_prices(settings), month_start(now))
    dbus = DbuPrices(settings.databricks_dbu_usd, prices)
    elsewhere = dbu_spend.run_spend(settings, dbus, month_start(now), now)
    return replace(spend, jobs=tuple(sorted([*jobs, *runs, *elsewhere], key=lambda one: one.created, reverse=True)))


def next_worst_case(settings: Settings, prices: Prices) -> tuple[float, Subject]:
    """Returns the most that the deployment's next cluster or job may cost, and which of both it is.

    Args:
        settings: The deployment, with its sizes and limits.
        prices: Prices of nodes.
    """
    if settings.deployment == "emr-serverless":
        return workers.worst_case_eur(settings, read_worker_prices(settings)), JOB
    if settings.deployment == "glue":
        return dpu_workers.worst_case_eur(settings, read_dpu_prices(settings)), JOB
    if settings.deployment == "databricks":
        return dbu_workers.worst_case_eur(settings, read_dbu_prices(settings)), JOB
    return worst_case_eur(settings, prices), CLUSTER
