"""The cost of instances that EMR has forgotten.

ListInstances names instances that ended in the last 30 days only, so on the 31st of a month those of the 1st are
missing. ListClusters still has the cluster for two months, with its times and its normalized instance hours, and so
has DescribeCluster its tags.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fruits_assets.money.costs import Euros
from fruits_assets.money.prices import Prices, xlarges

# An hour less than ListInstances promises: where it still has the instances they are counted by themselves.
KEPT = timedelta(days=30) - timedelta(hours=1)
# An hour of an xlarge, of which each begun one counts: three m5.xlarge that ran for 30 minutes have 24 (seen in public
# listings of 2023 and 2024; AWS documents only that larger instances weigh more).
_NORMALIZED_HOURS_OF_XLARGE = 8.0


@dataclass(frozen=True)
class Life:
    """A cluster's life, as EMR still knows it when it has forgotten the instances.

    Attributes:
        created: When it was requested.
        ended: When it ended, None before.
        normalized_hours: EMR's normalized instance hours of its whole life.
        worst_case: The most that it costs, and the time that this is for; None for clusters of others.
    """

    created: datetime
    ended: datetime | None
    normalized_hours: float
    worst_case: tuple[float, timedelta] | None = None


def cost_of_forgotten(
    life: Life, instances: Iterable[Mapping[str, Any]], prices: Prices, month: datetime, now: datetime
) -> Euros:
    """Returns what instances that EMR no longer lists have cost at most in the month.

    Nothing where EMR lists all instances that may have lived in the month, which is always so until the 30th. A cluster
    of this platform had at most its greatest number of nodes all the time. Of a cluster of others all normalized hours
    count that its listed instances do not explain, at the dearest price that is known, even if some of them belong to
    the month before.

    Args:
        life: The cluster's life.
        instances: The cluster's instances as ListInstances returns them.
        prices: Prices of the region, of the listed types among others.
        month: Begin of the month.
        now: The present time.
    """
    begin, end = max(life.created, month), min(life.ended or now, now - KEPT)
    if begin >= end:
        return Euros()
    node = max((prices.node_hour(kind) * (1 / xlarges(kind)) for kind in prices.nodes), key=lambda one: one.total)
    if life.worst_case:
        eur, time = life.worst_case
        return node * (eur / node.total * ((end - begin) / time))
    listed = sum(_normalized_hours(one, now) for one in instances)
    return node * (max(0.0, life.normalized_hours - listed) / _NORMALIZED_HOURS_OF_XLARGE)


def _normalized_hours(instance: Mapping[str, Any], now: datetime) -> float:
    timeline = instance["Status"].get("Timeline", {})
    if "CreationDateTime" not in timeline:
        return 0.0
    lived: timedelta = (timeline.get("EndDateTime") or now) - timeline["CreationDateTime"]
    return max(0.0, lived / timedelta(hours=1)) * xlarges(instance["InstanceType"]) * _NORMALIZED_HOURS_OF_XLARGE
