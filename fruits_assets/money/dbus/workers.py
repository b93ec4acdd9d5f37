"""Jobs on clusters of Databricks, one for each run: sizes, costs, and the most that one costs."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fruits_assets.money.costs import CORES_PER_NODE, Cost, CostModel, Euros
from fruits_assets.money.dbus.prices import DbuPrices, dbus_of
from fruits_assets.money.jobs.workers import Worker
from fruits_assets.money.prices import xlarges
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# The driver has a node of its own.
_DRIVERS = 1
_GIGABYTES_PER_XLARGE = 16
# The service ends a run by one limit, which begins before there is a cluster. AWS has the nodes 4 to 6 minutes after
# the request, as reported; the rest is for a region that is short of them.
START_UP_MINUTES = 15
# From the end of a run to the end of its last machine. Assumed.
MINUTES_BEYOND_TIMEOUT = 5
NOT_IN_A_RUN = "the start and the end of the run's cluster are not in it; the run's tag has all of its time"


@dataclass(frozen=True)
class Size:
    """The cluster of a run.

    Attributes:
        node_type: Type of all its nodes.
        nodes: Their number, the driver's included.
    """

    node_type: str
    nodes: int

    @property
    def workers(self) -> int:
        """Nodes with executors."""
        return self.nodes - _DRIVERS

    @property
    def worker(self) -> Worker:
        """Virtual cores of a node, and its memory as that of an m5."""
        size = xlarges(self.node_type)
        return Worker(int(CORES_PER_NODE * size), int(_GIGABYTES_PER_XLARGE * size))

    @property
    def dbus(self) -> float:
        """DBUs that all nodes take in an hour."""
        return self.nodes * dbus_of(self.node_type)


def size_of(settings: Settings) -> Size:
    """Returns the cluster of a run: a node for each executor, and one for the driver.

    Args:
        settings: Instance type, and the executors.

    Raises:
        FruitsError: A node has fewer cores than an executor.
    """
    size = Size(settings.instance_type, settings.max_executors + _DRIVERS)
    if settings.executor_cores > size.worker.vcpus:
        raise FruitsError(
            f"FRUITS_EXECUTOR_CORES is {settings.executor_cores}, and a node of the cluster, {size.node_type}, has "
            f"{size.worker.vcpus}. Lower it, or set FRUITS_INSTANCE_TYPE to a larger node."
        )
    return size


def cores_of(settings: Settings) -> int:
    """Returns the cores of all executors of a run."""
    size = size_of(settings)
    return size.workers * size.worker.vcpus


def timeout_minutes(settings: Settings) -> int:
    """Returns after how many minutes the service itself ends a run, its cluster's start-up included."""
    return settings.step_minutes + START_UP_MINUTES


@dataclass(frozen=True)
class DbuCostModel(CostModel):
    """The cost model of a run, sent with its step as JSON.

    Attributes:
        place: What it runs on, for people.
        node_type: Type of the nodes.
        nodes: Their number, the driver's included.
        eur_per_databricks_node_hour: Price of a node for an hour: the machine, Databricks' fee, the disks.
        prices: The source of the prices, with their date.
    """

    place: str
    node_type: str
    nodes: int
    eur_per_databricks_node_hour: tuple[float, float, float]
    prices: str

    @classmethod
    def of_run(cls, settings: Settings, prices: DbuPrices, place: str) -> "DbuCostModel":
        """Returns the model of a run with these settings.

        Args:
            settings: Instance type and number of executors.
            prices: Prices of the region.
            place: What it runs on, for people.
        """
        size, hour = size_of(settings), prices.node_hour(settings.instance_type)
        return cls(place, size.node_type, size.nodes, (hour.ec2, hour.emr, hour.ebs), prices.computed_from)

    @property
    def per_hour(self) -> Euros:
        """Price of all nodes for an hour."""
        return Euros(*self.eur_per_databricks_node_hour) * self.nodes

    def of_seconds(self, seconds: float) -> Cost:
        """Returns what all nodes cost for that time."""
        computed_from = (
            f"{seconds:.1f} s x {self.nodes} {self.node_type} of {dbus_of(self.node_type):g} DBU at "
            f"{self.per_hour.total:.4f} EUR/h ({self.prices}); {self.place}; {NOT_IN_A_RUN}"
        )
        return Cost(seconds, self.per_hour * (seconds / 3600), computed_from)

    def as_variable(self) -> str:
        """Returns the model as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "DbuCostModel":
        """Returns the model from the document that ``as_variable`` returned as text."""
        ec2, fee, disks = given["eur_per_databricks_node_hour"]
        return cls(**{**given, "eur_per_databricks_node_hour": (ec2, fee, disks)})


def worst_case_eur(settings: Settings, prices: DbuPrices) -> float:
    """Returns the most that a run may cost: all nodes, from the request for them until the service has ended them.

    Args:
        settings: Instance type, number of executors, and time limit.
        prices: Prices of the region.
    """
    return most_eur(timeout_minutes(settings), size_of(settings), prices)


def most_eur(minutes: float, size: Size, prices: DbuPrices) -> float:
    """Returns the most that a cluster costs until a time limit.

    Args:
        minutes: The time limit of its run.
        size: Its nodes.
        prices: Prices of the region, of the nodes among others.
    """
    hours = (minutes + MINUTES_BEYOND_TIMEOUT) / 60
    return prices.node_hour(size.node_type).total * size.nodes * hours
