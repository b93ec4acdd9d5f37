"""The price of a node for an hour: from AWS's Price List API, or from a dated table where that cannot be read.

Spot prices are not known in advance, so Spot nodes have the price of on-demand nodes, which is an upper bound.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fruits_assets.aws import clock
from fruits_assets.aws.sessions import PATIENT, error_code, translate_errors
from fruits_assets.money.costs import EuroRate, Euros
from fruits_assets.money.price_table import (
    EBS_USD_PER_GIGABYTE_MONTH,
    INSTANCE_PRICES,
    IPV4_USD_PER_HOUR,
    PRICES_DATE,
    TABLE_REGION,
)
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# The Price List API has three endpoints, each with the prices of all regions; this is the only one in the EU.
PRICING_REGION = "eu-central-1"
API, TABLE = "Price List API", f"table of {PRICES_DATE}"
HOURS_PER_MONTH = 730

# EMR Management Guide, as read in 2026-11: the root volume has 15 GiB from 6.10 on ("Customizing the EBS root device
# volume"), the data volumes of an xlarge have 64 GiB together ("Default Amazon EBS storage for instances").
_ROOT_GIGABYTES = 15
_EBS_GIGABYTES_PER_XLARGE = 64
_LARGEST = 24.0
# Prices are kept for a day as they are quoted; those of other settings are made from the same.
_DOLLARS = EuroRate(1.0, 0.0)

# Short timeouts: the budget check should not wait minutes for a price, because the table can replace it.
_HASTY = PATIENT.merge(
    Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=3, read_timeout=10)
)


@dataclass(frozen=True)
class NodePrice:
    """The price of an instance type.

    Attributes:
        ec2_usd_per_hour: EC2's price on demand, for Linux.
        emr_usd_per_hour: EMR's fee.
        ebs_gigabytes: Size of the disks that EMR attaches, the root volume included.
    """

    ec2_usd_per_hour: float
    emr_usd_per_hour: float
    ebs_gigabytes: float


@dataclass(frozen=True)
class Prices:
    """The prices of a region.

    Attributes:
        source: ``Price List API``, or ``table of 2026-09``.
        date: Day of the request to the API, or month of the table.
        region: An AWS region.
        rate: Turns dollars into euros.
        ebs_usd_per_gigabyte_month: Price of disks.
        nodes: Prices by instance type.
        note: A note for people, such as why the API was not read.
        address_usd_per_hour: Price of a node's public address.
    """

    source: str
    date: str
    region: str
    rate: EuroRate
    ebs_usd_per_gigabyte_month: float
    nodes: Mapping[str, NodePrice]
    note: str = ""
    address_usd_per_hour: float = 0.0

    @property
    def computed_from(self) -> str:
        """The source of the prices, in one line."""
        dated = self.source if self.source == TABLE else f"{self.source}, {self.date}"
        return f"{dated}, {self.region}, {self.rate}{f'; {self.note}' if self.note else ''}"

    def node_hour(self, instance_type: str) -> Euros:
        """Returns the price of one node for an hour, in parts.

        Raises:
            FruitsError: The price of this type is not known.
        """
        if instance_type not in self.nodes:
            raise FruitsError(self._unknown(instance_type))
        price = self.nodes[instance_type]
        disks = price.ebs_gigabytes * self.ebs_usd_per_gigabyte_month / HOURS_PER_MONTH
        ec2 = price.ec2_usd_per_hour + self.address_usd_per_hour
        return Euros(ec2, price.emr_usd_per_hour, disks) * self.rate.eur_per_usd

    def node_hour_eur(self, instance_type: str) -> float:
        """Returns the price of one node for an hour, in euros.

        Raises:
            FruitsError: The price of this type is not known.
        """
        return self.node_hour(instance_type).total

    def including(self, instance_types: Collection[str]) -> "Prices":
        """Returns these prices with those of more instance types, from the same source.

        Raises:
            FruitsError: The price of one of the types is not known.
        """
        missing = sorted(set(instance_types) - set(self.nodes))
        if missing and self.source == TABLE:
            raise FruitsError(self._unknown(missing[0]))
        with translate_errors(f"read the prices of {', '.join(missing)}"):
            more = {name: _live_node(self.region, name, self.date) for name in missing}
        return replace(self, nodes={**self.nodes, **more}) if more else self

    def _unknown(self, instance_type: str) -> str:
        if self.source == TABLE:
            return (
                f"What a {instance_type} costs is not in the {TABLE} ({self.note}). "
                "Allow pricing:GetProducts (fruits estimate asks with --live-prices), or choose m5.xlarge."
            )
        return f"The Price List API has no price of {instance_type} in {self.region}. Check FRUITS_INSTANCE_TYPE."


def read_prices(settings: Settings) -> Prices:
    """Returns the prices of the platform's region, which a process requests once a day.

    Args:
        settings: Region, instance type and the exchange rate.

    Raises:
        FruitsError: The price of the instance type is not known.
    """
    today = clock.now().date().isoformat()
    prices = _of_the_day(settings.region, settings.instance_type, today)
    prices = replace(prices, rate=EuroRate.of(settings))
    prices.node_hour(settings.instance_type)
    return prices


def table_prices(rate: EuroRate, region: str = TABLE_REGION, note: str = "as commonly quoted") -> Prices:
    """Returns the prices of the table, without a request to the API.

    Args:
        rate: Turns dollars into euros.
        region: The region for which the prices are used, although they are those of eu-west-3.
        note: Why the table is used.
    """
    nodes = {name: NodePrice(ec2, emr, ebs_gigabytes(name)) for name, (ec2, emr) in INSTANCE_PRICES.items()}
    elsewhere = "" if region == TABLE_REGION else f"; they are those of {TABLE_REGION}"
    return Prices(
        TABLE, PRICES_DATE, region, rate, EBS_USD_PER_GIGABYTE_MONTH, nodes, note + elsewhere, IPV4_USD_PER_HOUR
    )


def xlarges(instance_type: str) -> float:
    """Returns the size of an instance type in ``xlarge`` of its family; without a number, that of the largest one."""
    size = instance_type.partition(".")[2]
    if size in ("large", "xlarge"):
        return 0.5 if size == "large" else 1.0
    times = size.removesuffix("xlarge")
    return float(times) if times.isdigit() else _LARGEST


def ebs_gigabytes(instance_type: str) -> float:
    """Returns the gigabytes that EMR attaches to an instance without disks of its own, the root volume included."""
    return _ROOT_GIGABYTES + _EBS_GIGABYTES_PER_XLARGE * xlarges(instance_type)


@cache
def _of_the_day(region: str, instance_type: str, today: str) -> Prices:
    try:
        node = _live_node(region, instance_type, today)
        disks = _live_ebs(region)
    except (BotoCoreError, ClientError) as error:
        reason = error_code(error) or type(error).__name__
        return table_prices(_DOLLARS, region, f"as commonly quoted; the Price List API was not read: {reason}")
    except (KeyError, TypeError, ValueError):
        return table_prices(_DOLLARS, region, "as commonly quoted; the answer of the Price List API was not understood")
    note = "" if disks else f"disks from the {TABLE}"
    return Prices(
        API,
        today,
        region,
        _DOLLARS,
        disks or EBS_USD_PER_GIGABYTE_MONTH,
        {instance_type: node},
        note,
        IPV4_USD_PER_HOUR,
    )


@cache
def _live_node(region: str, instance_type: str, day: str) -> NodePrice:
    """Reads the price of an instance type; ``day`` is part of the cache key, so that it is read again the next day.

    Raises:
        FruitsError: The API has no price of this type in this region.
    """
    where = {"regionCode": region, "instanceType": instance_type}
    linux = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
    ec2 = highest_usd(products("AmazonEC2", {**where, **linux}), "Hrs")
    emr = highest_usd(products("ElasticMapReduce", {**where, "softwareType": "EMR"}), "Hrs")
    if ec2 is None or emr is None:
        raise FruitsError(
            f"The Price List API has no price of {instance_type} {'on EC2' if ec2 is None else 'for EMR'} in {region}. "
            "Check FRUITS_INSTANCE_TYPE and FRUITS_REGION."
        )
    return NodePrice(ec2, emr, ebs_gigabytes(instance_type))


def _live_ebs(region: str) -> float | None:
    return highest_usd(products("AmazonEC2", {"regionCode": region, "volumeApiName": "gp2"}), "GB-Mo")


def products(service: str, fields: Mapping[str, str]) -> Iterator[str]:
    """Yields the products of the Price List API that have all these fields, each as JSON.

    Raises:
        ClientError: (or BotoCoreError) The API cannot be read.
    """
    pricing = boto3.client("pricing", region_name=PRICING_REGION, config=_HASTY)
    filters: Any = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()]
    for page in pricing.get_paginator("get_products").paginate(ServiceCode=service, Filters=filters):
        yield from page["PriceList"]


def highest_usd(price_list: Iterable[str], unit: str | None = None) -> float | None:
    """Returns the highest on-demand price among products of the Price List API; None where there is none.

    Args:
        price_list: Products as the API returns them, each a JSON text.
        unit: Unit of the price: ``Hrs`` or ``GB-Mo``; None for any.
    """
    found = [
        float(dimension["pricePerUnit"]["USD"])
        for product in map(json.loads, price_list)
        for term in product["terms"].get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        # The highest, because capacity reservations and the like are listed as separate products with the price 0.
        if (unit is None or dimension["unit"].lower() == unit.lower()) and "USD" in dimension["pricePerUnit"]
    ]
    return max(found, default=0.0) or None
