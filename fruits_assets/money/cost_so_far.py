"""What a store has cost so far: the sum of the costs in the metadata of its materializations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

PAID, EQUIVALENT = "cost_so_far_eur", "equivalent_cluster_cost_so_far_eur"
_EVENTS_AT_A_TIME = 1000


@dataclass(frozen=True)
class CostSoFar:
    """Costs of all completed steps that this Dagster instance has records of.

    Attributes:
        paid: Euros paid for steps on clusters, without the clusters' start-up and idle time and without failed steps.
        equivalent: What the work done on this machine would have cost on a cluster.
    """

    paid: float = 0.0
    equivalent: float = 0.0

    def __add__(self, other: "CostSoFar") -> "CostSoFar":
        return CostSoFar(self.paid + other.paid, self.equivalent + other.equivalent)


def cost_so_far(instance: dg.DagsterInstance, report: dg.AssetKey, assets: Sequence[dg.AssetKey]) -> CostSoFar:
    """Returns the sum in the last report plus the costs of all materializations since.

    So each event is read only once, not again for each report.

    Args:
        instance: The Dagster instance.
        report: The asset whose materializations have ``cost_so_far_eur`` in their metadata.
        assets: The assets whose materializations have ``run_cost_eur`` in their metadata.
    """
    last = instance.fetch_materializations(report, limit=1).records
    total = _cost_of(last[0], PAID, EQUIVALENT) if last else CostSoFar()
    after = last[0].storage_id if last else None
    for asset in assets:
        for record in _materializations(instance, asset, after):
            total += _cost_of(record, "run_cost_eur", "equivalent_cluster_cost_eur")
    return total


def _materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, after: int | None
) -> Iterator[dg.EventLogRecord]:
    wanted, cursor = dg.AssetRecordsFilter(asset, after_storage_id=after), None
    while True:
        found = instance.fetch_materializations(wanted, limit=_EVENTS_AT_A_TIME, cursor=cursor)
        yield from found.records
        if not found.has_more:
            return
        cursor = found.cursor


def _cost_of(record: dg.EventLogRecord, paid: str, equivalent: str) -> CostSoFar:
    event = record.asset_materialization
    values = {name: value.value for name, value in event.metadata.items()} if event else {}
    amounts = [value if isinstance(value := values.get(name), float) else 0.0 for name in (paid, equivalent)]
    return CostSoFar(*amounts)
