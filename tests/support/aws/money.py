"""Round prices, and what clusters have cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from fruits_assets.money import prices
from fruits_assets.money.costs import EuroRate, Euros
from fruits_assets.money.prices import (
    API,
    NodePrice,
    Prices,
)
from fruits_assets.money.spend import ClusterSpend, Spend

MONTH = datetime(2026, 11, 1, tzinfo=UTC)


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


# A node of 0.50 EUR an hour: 0.40 EC2, 0.08 EMR and 0.02 for disks of 73 GB at 0.20 a month.
ROUND = Prices(API, "2026-11-20", "eu-west-3", EuroRate(1.0, 0.0), 0.2, {"m5.xlarge": NodePrice(0.4, 0.08, 73)})


@contextmanager
def no_prices_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has prices read anew, with credentials: a process keeps those of the day."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for remembered in (prices._of_the_day, prices._live_node):
        remembered.cache_clear()
    yield
    for remembered in (prices._of_the_day, prices._live_node):
        remembered.cache_clear()


def spent(
    eur: float, state: str = "TERMINATED", stack: str | None = "fruits", hourly: float = 0.0, worst: float | None = None
) -> ClusterSpend:
    created = NOW - timedelta(hours=1)
    return ClusterSpend(
        "j-1", "fruits-fruits", state, stack, created, None, 3, Euros(ec2=eur), Euros(ec2=hourly), worst
    )


def spend_of(*clusters: ClusterSpend) -> Spend:
    return Spend(MONTH, NOW, clusters, "test")


# That of the settings' defaults.
RATE = EuroRate(0.92, 20.0)


# A node of the table, for an hour: (0.224 + 0.005 + 0.048 + 79 x 0.116 / 730) x 0.92, and 20 % VAT.
TABLE_NODE = (0.224 + 0.005 + 0.048 + 79 * 0.116 / 730) * 0.92 * 1.2
