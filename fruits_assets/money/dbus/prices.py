"""The price of a node of a Databricks cluster for an hour: AWS's for the machine, and Databricks' by DBUs.

Databricks has no price list that can be asked. What a DBU costs is a setting, because contracts differ; how many a node
takes is a table of this project.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from fruits_assets.money.costs import EuroRate, Euros
from fruits_assets.money.price_table import DBUS_DATE, DBUS_PER_XLARGE
from fruits_assets.money.prices import HOURS_PER_MONTH, Prices, read_prices, table_prices, xlarges
from fruits_assets.settings import Settings

# Disks of a node: 30 GB for its system, 150 GB for Spark's container (Databricks on AWS, "Compute configuration
# reference", as read in 2026-11), and what the request for a cluster adds.
ADDED_GIGABYTES = 100
_GIGABYTES = 30 + 150 + ADDED_GIGABYTES


def dbus_of(node_type: str) -> float:
    """Returns the DBUs that a node takes in an hour, in proportion to its size."""
    return DBUS_PER_XLARGE * xlarges(node_type)


@dataclass(frozen=True)
class DbuPrices:
    """Prices of nodes in a region.

    Attributes:
        dbu_usd: Of a DBU.
        machines: AWS's prices of machines and disks.
    """

    dbu_usd: float
    machines: Prices

    @property
    def rate(self) -> EuroRate:
        """Turns dollars into euros."""
        return self.machines.rate

    @property
    def computed_from(self) -> str:
        """The source of the prices, in one line."""
        return f"{self.dbu_usd:g} USD a DBU, DBUs of {DBUS_DATE}; {self.machines.computed_from}"

    def including(self, node_types: Collection[str]) -> "DbuPrices":
        """Returns these prices with those of more machines.

        Raises:
            FruitsError: The price of one of them is not known.
        """
        return replace(self, machines=self.machines.including(node_types))

    def node_hour(self, node_type: str) -> Euros:
        """Returns the price of a node for an hour, in parts: the machine, Databricks' fee, and the disks.

        Raises:
            FruitsError: The price of the machine is not known.
        """
        fee = dbus_of(node_type) * self.dbu_usd * self.rate.eur_per_usd
        disks = _GIGABYTES * self.machines.ebs_usd_per_gigabyte_month / HOURS_PER_MONTH * self.rate.eur_per_usd
        return Euros(self.machines.node_hour(node_type).ec2, fee, disks)


def read_dbu_prices(settings: Settings) -> DbuPrices:
    """Returns the prices of the platform's region; those of machines are requested once a day.

    Args:
        settings: Region, price of a DBU, exchange rate.

    Raises:
        FruitsError: The price of the instance type is not known.
    """
    return DbuPrices(settings.databricks_dbu_usd, read_prices(settings))


def table_dbu_prices(settings: Settings) -> DbuPrices:
    """Returns the prices of the table, without a request.

    Args:
        settings: Region, price of a DBU, exchange rate.
    """
    return DbuPrices(settings.databricks_dbu_usd, table_prices(EuroRate.of(settings), settings.region))
