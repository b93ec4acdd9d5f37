"""The price of a DPU for an hour: from AWS's Price List API, or from the dated table."""

from dataclasses import dataclass, replace
from functools import cache

from botocore.exceptions import BotoCoreError, ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.sessions import error_code
from fruits_assets.money.costs import EuroRate
from fruits_assets.money.jobs.prices import USAGE_PREFIXES
from fruits_assets.money.price_table import DPU_USD_PER_HOUR, TABLE_REGION
from fruits_assets.money.prices import API, TABLE, highest_usd, products
from fruits_assets.settings import Settings

_DPU_HOURS = "ETL-DPU-Hour"


@dataclass(frozen=True)
class DpuPrices:
    """The price of data processing units in a region.

    Attributes:
        dpu_usd_per_hour: Of a DPU.
        source: Where it is from, in one line.
        rate: Turns dollars into euros.
    """

    dpu_usd_per_hour: float
    source: str
    rate: EuroRate

    @property
    def computed_from(self) -> str:
        """The source of the price, in one line."""
        return f"{self.source}, {self.rate}"

    def eur(self, dpu_hours: float) -> float:
        """Returns what so many hours cost, in euros."""
        return dpu_hours * self.dpu_usd_per_hour * self.rate.eur_per_usd


def read_dpu_prices(settings: Settings) -> DpuPrices:
    """Returns the price of the platform's region, which a process requests once a day.

    Args:
        settings: Region and exchange rate.
    """
    prices = _of_the_day(settings.region, clock.now().date().isoformat())
    return replace(prices, rate=EuroRate.of(settings))


def table_dpu_prices(rate: EuroRate, region: str = TABLE_REGION, note: str = "as commonly quoted") -> DpuPrices:
    """Returns the price of the table, without a request to the API.

    Args:
        rate: Turns dollars into euros.
        region: The region for which the price is used, although it is that of eu-west-3.
        note: Why the table is used.
    """
    elsewhere = "" if region == TABLE_REGION else f"; it is that of {TABLE_REGION}"
    return DpuPrices(DPU_USD_PER_HOUR, f"{TABLE}, {region}, {note}{elsewhere}", rate)


@cache
def _of_the_day(region: str, today: str) -> DpuPrices:
    rate = EuroRate(1.0, 0.0)
    try:
        usage = f"{USAGE_PREFIXES[region]}-{_DPU_HOURS}"
        usd = highest_usd(products("AWSGlue", {"regionCode": region, "usagetype": usage}))
    except (BotoCoreError, ClientError) as error:
        reason = error_code(error) or type(error).__name__
        return table_dpu_prices(rate, region, f"as commonly quoted; the Price List API was not read: {reason}")
    except (KeyError, TypeError, ValueError):
        usd = None
    if usd is None:
        return table_dpu_prices(rate, region, "as commonly quoted; the Price List API was not understood")
    return DpuPrices(usd, f"{API}, {today}, {region}", rate)
