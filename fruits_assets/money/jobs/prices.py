"""The price of a serverless worker's vCPU and memory: from AWS's Price List API, or from the dated table."""

from dataclasses import dataclass, replace
from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.sessions import error_code
from fruits_assets.money.costs import EuroRate
from fruits_assets.money.price_table import GIGABYTE_USD_PER_HOUR, TABLE_REGION, VCPU_USD_PER_HOUR
from fruits_assets.money.prices import API, TABLE, highest_usd, products
from fruits_assets.settings import Settings

# The prefixes of usage types, by region.
USAGE_PREFIXES = {
    "eu-west-1": "EU",
    "eu-west-3": "EUW3",
    "eu-central-1": "EUC1",
    "eu-north-1": "EUN1",
    "eu-south-1": "EUS1",
    "eu-south-2": "EUS2",
}
_VCPU_HOURS, _GIGABYTE_HOURS = "EMR-SERVERLESS-vCPUHours", "EMR-SERVERLESS-MemoryGBHours"


@dataclass(frozen=True)
class WorkerPrices:
    """The prices of workers in a region.

    Attributes:
        vcpu_usd_per_hour: Of a vCPU.
        gigabyte_usd_per_hour: Of a gigabyte of memory.
        source: Where they are from, in one line.
        rate: Turns dollars into euros.
    """

    vcpu_usd_per_hour: float
    gigabyte_usd_per_hour: float
    source: str
    rate: EuroRate

    @property
    def computed_from(self) -> str:
        """The source of the prices, in one line."""
        return f"{self.source}, {self.rate}"

    def eur(self, vcpu_hours: float, gigabyte_hours: float) -> float:
        """Returns what so many hours cost, in euros."""
        usd = vcpu_hours * self.vcpu_usd_per_hour + gigabyte_hours * self.gigabyte_usd_per_hour
        return usd * self.rate.eur_per_usd


def read_worker_prices(settings: Settings) -> WorkerPrices:
    """Returns the prices of the platform's region, which a process requests once a day.

    Args:
        settings: Region and exchange rate.
    """
    prices = _of_the_day(settings.region, clock.now().date().isoformat())
    return replace(prices, rate=EuroRate.of(settings))


def table_worker_prices(rate: EuroRate, region: str = TABLE_REGION, note: str = "as commonly quoted") -> WorkerPrices:
    """Returns the prices of the table, without a request to the API.

    Args:
        rate: Turns dollars into euros.
        region: The region for which the prices are used, although they are those of eu-west-3.
        note: Why the table is used.
    """
    elsewhere = "" if region == TABLE_REGION else f"; they are those of {TABLE_REGION}"
    source = f"{TABLE}, {region}, {note}{elsewhere}"
    return WorkerPrices(VCPU_USD_PER_HOUR, GIGABYTE_USD_PER_HOUR, source, rate)


@cache
def _of_the_day(region: str, today: str) -> WorkerPrices:
    rate = EuroRate(1.0, 0.0)
    try:
        usd = [_live(region, f"{USAGE_PREFIXES[region]}-{usage}") for usage in (_VCPU_HOURS, _GIGABYTE_HOURS)]
    except (BotoCoreError, ClientError) as error:
        reason = error_code(error) or type(error).__name__
        return table_worker_prices(rate, region, f"as commonly quoted; the Price List API was not read: {reason}")
    except (KeyError, TypeError, ValueError):
        return table_worker_prices(rate, region, "as commonly quoted; the Price List API was not understood")
    return WorkerPrices(usd[0], usd[1], f"{API}, {today}, {region}", rate)


def _live(region: str, usage: str) -> float:
    found = highest_usd(products("ElasticMapReduce", {"regionCode": region, "usagetype": usage}))
    if found is None:
        raise ValueError(f"no price of {usage}")
    return found
