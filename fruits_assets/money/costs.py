"""The cost of a step: on a cluster, its nodes for that time; on this machine nothing, and what a cluster would cost."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fruits_assets.money.price_table import EC2_USD_PER_HOUR, EMR_USD_PER_HOUR, PRICES_DATE
from fruits_assets.settings import Settings

CORES_PER_NODE = 4
# Nodes cost from their creation. The schedule that ends them may be a minute late. The switch on the master, which ends
# them if the schedule does not, counts from its boot, 3 to 5 minutes later. Ending takes minutes: 5 where EMR cannot be
# reached and the machine shuts itself down.
MINUTES_BEYOND_AGE = 10
# The environment variable with the cost model of where a step runs.
COST_VARIABLE = "FRUITS_CLUSTER_COST"
NOT_IN_A_STEP = "the cluster's start-up and idle time are not in it; fruits clusters shows them"


@dataclass(frozen=True)
class EuroRate:
    """Turns the dollars of AWS's price lists, which are without VAT, into the euros that are paid.

    Attributes:
        usd_to_eur: Euros for a dollar.
        vat_percent: Value-added tax on AWS's bill, in percent.
    """

    usd_to_eur: float
    vat_percent: float

    @classmethod
    def of(cls, settings: Settings) -> "EuroRate":
        """Returns the rate of the settings."""
        return cls(settings.usd_to_eur, settings.vat_percent)

    @property
    def eur_per_usd(self) -> float:
        """Euros paid for a dollar of a price list."""
        return self.usd_to_eur * (1 + self.vat_percent / 100)

    def __str__(self) -> str:
        vat = f"with {self.vat_percent:g} % VAT" if self.vat_percent else "without VAT"
        return f"{self.usd_to_eur} EUR/USD, {vat}"


@dataclass(frozen=True)
class Euros:
    """An amount of euros in three parts.

    Attributes:
        ec2: For the machines.
        emr: For EMR's fee on the machines.
        ebs: For the machines' disks.
    """

    ec2: float = 0.0
    emr: float = 0.0
    ebs: float = 0.0

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return self.ec2 + self.emr + self.ebs

    def __add__(self, other: "Euros") -> "Euros":
        return Euros(self.ec2 + other.ec2, self.emr + other.emr, self.ebs + other.ebs)

    def __mul__(self, factor: float) -> "Euros":
        return Euros(self.ec2 * factor, self.emr * factor, self.ebs * factor)


@dataclass(frozen=True)
class Cost:
    """The cost of a step.

    Attributes:
        seconds: Duration of the step.
        paid: What is paid for it; nothing on this machine.
        computed_from: A sentence with the numbers that the cost was computed from.
        cluster_seconds: For work on this machine: the time that the core nodes of the cluster would take, if their
            cores were as fast and all busy.
        equivalent_eur: For work on this machine: what the whole cluster would cost for that time, without start-up.
    """

    seconds: float
    paid: Euros
    computed_from: str
    cluster_seconds: float | None = None
    equivalent_eur: float | None = None


class CostModel(ABC):
    """Computes the cost of a duration, on this machine or on a cluster."""

    @abstractmethod
    def of_seconds(self, seconds: float) -> Cost:
        """Returns the cost of a number of seconds of work."""

    @abstractmethod
    def as_variable(self) -> str:
        """Returns the model as the text that a step elsewhere gets in ``COST_VARIABLE``; empty for this machine's."""

    @staticmethod
    def of(settings: Settings) -> "LocalCostModel":
        """Returns the model of this machine."""
        cores = (os.cpu_count() or 1) if settings.cores == "*" else int(settings.cores)
        return LocalCostModel(cores, settings.core_nodes, EuroRate.of(settings))


@dataclass(frozen=True)
class LocalCostModel(CostModel):
    """The cost model of this machine.

    Attributes:
        cores: Cores of this machine that Spark uses.
        core_nodes: Core nodes of the cluster that the equivalent cost is computed for.
        rate: Turns dollars into euros.
    """

    cores: int
    core_nodes: int
    rate: EuroRate

    def of_seconds(self, seconds: float) -> Cost:
        """Returns a cost with nothing paid, and with what a cluster would have cost."""
        return local_cost(seconds, self.cores, self.core_nodes, self.rate)

    def as_variable(self) -> str:
        """Returns nothing: a step on this machine makes the model itself."""
        return ""


@dataclass(frozen=True)
class ClusterCostModel(CostModel):
    """The cost model of a cluster, sent with each step as JSON.

    Attributes:
        cluster_id: ``j-...``.
        nodes: Number of nodes of each kind when the step is submitted: ``{"master": 1, "core": 2}``.
        instance_type: Instance type of all nodes.
        eur_per_node_hour: Price of one node for an hour.
        prices: The source of the prices, with their date.
    """

    cluster_id: str
    nodes: Mapping[str, int]
    instance_type: str
    eur_per_node_hour: Euros
    prices: str

    def of_seconds(self, seconds: float) -> Cost:
        """Returns the cost of all nodes for that time, busy or not."""
        nodes = sum(self.nodes.values())
        kinds = " + ".join(f"{count} {kind}" for kind, count in self.nodes.items())
        computed_from = (
            f"{seconds:.1f} s x {nodes} {self.instance_type} ({kinds}) x {self.eur_per_node_hour.total:.4f} EUR/h "
            f"({self.prices}); cluster {self.cluster_id}; {NOT_IN_A_STEP}"
        )
        return Cost(seconds, self.eur_per_node_hour * (nodes * seconds / 3600), computed_from)

    def to_json(self) -> dict[str, Any]:
        """Returns the model as a JSON document."""
        price = self.eur_per_node_hour
        return {
            "cluster_id": self.cluster_id,
            "nodes": dict(self.nodes),
            "instance_type": self.instance_type,
            "eur_per_node_hour": {"ec2": price.ec2, "emr": price.emr, "ebs": price.ebs},
            "prices": self.prices,
        }

    def as_variable(self) -> str:
        """Returns the model as JSON."""
        return json.dumps(self.to_json())

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "ClusterCostModel":
        """Returns the model from the document that ``to_json`` returned."""
        return cls(**{**given, "eur_per_node_hour": Euros(**given["eur_per_node_hour"])})


def local_cost(seconds: float, cores: int, core_nodes: int, rate: EuroRate) -> Cost:
    """Estimates what local work would have cost on a cluster of one master and some core nodes.

    Args:
        seconds: Duration on this machine.
        cores: Cores of this machine that it used.
        core_nodes: Core nodes of the cluster.
        rate: Turns dollars into euros.
    """
    cluster_cores = core_nodes * CORES_PER_NODE
    cluster_seconds = seconds * cores / cluster_cores
    nodes = 1 + core_nodes
    hourly = nodes * (EC2_USD_PER_HOUR + EMR_USD_PER_HOUR) * rate.eur_per_usd
    computed_from = (
        f"{seconds:.1f} s on {cores} local cores would be {cluster_seconds:.1f} s on {cluster_cores} cluster cores of "
        f"the same speed; 1 + {core_nodes} m5.xlarge at {hourly:.2f} EUR/h (table of {PRICES_DATE}, "
        f"{rate}, start-up and disks left out)"
    )
    return Cost(seconds, Euros(), computed_from, cluster_seconds, cluster_seconds / 3600 * hourly)


def entries(cost: Cost, share: float = 1.0, images: int = 0) -> dict[str, Any]:
    """Returns the metadata of a cost, or of a folder's share of it.

    Args:
        cost: The cost of the step.
        share: The folder's share of the cost, 1 for all of it.
        images: Photos worked on for that share; without any there is no cost per photo.
    """
    paid = cost.paid * share
    described: dict[str, Any] = {
        "seconds": cost.seconds * share,
        "run_cost_eur": paid.total,
        "run_cost_ec2_eur": paid.ec2,
        "run_cost_emr_eur": paid.emr,
        "run_cost_ebs_eur": paid.ebs,
        "cost_computed_from": cost.computed_from + (f"; this folder's share {share:.1%}" if share < 1 else ""),
    }
    if cost.equivalent_eur is not None:
        described["equivalent_cluster_cost_eur"] = cost.equivalent_eur * share
    if images:
        described["cost_per_1000_images_eur"] = paid.total / images * 1000
    return described


def shares(weights: Mapping[str, int]) -> dict[str, float]:
    """Returns each folder's share of the whole, in proportion to its weight; equal shares if all weights are 0."""
    total = sum(weights.values())
    return {folder: weight / total if total else 1 / len(weights) for folder, weight in weights.items()}
