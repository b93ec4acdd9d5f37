"""What work costs: nothing here, and what it would cost on the cluster, from a dated price table."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# US dollars for an hour of one m5.xlarge in eu-west-3, EC2 on demand and the EMR surcharge, as commonly quoted;
# not read from the Price List API.
PRICES_DATE = "2026-09"
EC2_USD_PER_HOUR = 0.224
EMR_USD_PER_HOUR = 0.048
CORES_PER_NODE = 4


@dataclass(frozen=True)
class LocalCost:
    """The cost of work done on this machine.

    Attributes:
        seconds: Time it took.
        cores: Cores it ran on.
        cluster_seconds: Time that the core nodes of the cluster would take, were their cores as fast and all busy.
        equivalent_eur: What the whole cluster would cost for that time, start-up left out.
        told: The same as a sentence with the numbers it was computed from.
    """

    seconds: float
    cores: int
    cluster_seconds: float
    equivalent_eur: float
    told: str


def local_cost(seconds: float, cores: int, core_nodes: int, usd_to_eur: float) -> LocalCost:
    """Estimates what local work would have cost on a cluster of one master and some core nodes.

    Args:
        seconds: Time it took here.
        cores: Cores it ran on here.
        core_nodes: Core nodes of the cluster.
        usd_to_eur: Euros for a dollar.
    """
    cluster_cores = core_nodes * CORES_PER_NODE
    cluster_seconds = seconds * cores / cluster_cores
    nodes = 1 + core_nodes
    hourly = nodes * (EC2_USD_PER_HOUR + EMR_USD_PER_HOUR) * usd_to_eur
    equivalent = cluster_seconds / 3600 * hourly
    told = (
        f"{seconds:.1f} s on {cores} local cores would be {cluster_seconds:.1f} s on {cluster_cores} cluster cores of "
        f"the same speed; 1 + {core_nodes} m5.xlarge at {hourly:.2f} EUR/h (table of {PRICES_DATE}, "
        f"{usd_to_eur} EUR/USD, start-up left out)"
    )
    return LocalCost(seconds, cores, cluster_seconds, equivalent, told)


@dataclass(frozen=True)
class CostModel:
    """What turns seconds on this machine into money.

    Attributes:
        cores: Cores of this machine that Spark uses.
        core_nodes: Core nodes of the cluster that costs are estimated for.
        usd_to_eur: Euros for a dollar.
    """

    cores: int
    core_nodes: int
    usd_to_eur: float

    @classmethod
    def of(cls, cores: str, core_nodes: int, usd_to_eur: float) -> "CostModel":
        """Returns the model for Spark's notation of cores, a number or ``*``."""
        return cls((os.cpu_count() or 1) if cores == "*" else int(cores), core_nodes, usd_to_eur)

    def of_seconds(self, seconds: float) -> LocalCost:
        """Returns the cost of so many seconds of work."""
        return local_cost(seconds, self.cores, self.core_nodes, self.usd_to_eur)


def entries(cost: LocalCost, share: float = 1.0) -> dict[str, Any]:
    """Returns the metadata of a cost, or of a folder's share of it."""
    return {
        "seconds": cost.seconds * share,
        "run_cost_eur": 0.0,
        "equivalent_cluster_cost_eur": cost.equivalent_eur * share,
        "cost_computed_from": cost.told + (f"; this folder's share {share:.1%}" if share < 1 else ""),
    }


def shares(weights: Mapping[str, int]) -> dict[str, float]:
    """Returns the share of the whole that each folder bears, in proportion to its weight; equal if all weigh 0."""
    total = sum(weights.values())
    return {folder: weight / total if total else 1 / len(weights) for folder, weight in weights.items()}
