"""Jobs that are billed by the DPU-hours of their workers: sizes, costs, and the most that one costs."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fruits_assets.money.costs import Cost, CostModel, Euros
from fruits_assets.money.dpus.prices import DpuPrices
from fruits_assets.money.jobs.workers import NOT_IN_A_JOB, Worker, megabytes
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# A DPU is 4 vCPUs and 16 GB.
_VCPUS, _GIGABYTES = 4, 16
# DPUs of each type of worker that has one executor (AWS Glue Developer Guide, "Configuring job properties", as read in
# 2026-11).
DPUS = {"G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8}
# Of a worker's memory, what its executor may have; the rest is the system's. Assumed.
_SHARE_OF_EXECUTOR = 0.75
# The driver has a worker of its own.
_DRIVERS = 1
# The service ends a run some time after its limit.
MINUTES_BEYOND_TIMEOUT = 2
LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class Size:
    """The size of all workers of a run.

    Attributes:
        kind: Their type, such as ``G.1X``.
        workers: Their number, the driver's included.
    """

    kind: str
    workers: int

    @property
    def dpus(self) -> int:
        """DPUs of all of them."""
        return self.workers * DPUS[self.kind]

    @property
    def worker(self) -> Worker:
        """Virtual cores and memory of each."""
        return Worker(_VCPUS * DPUS[self.kind], _GIGABYTES * DPUS[self.kind])

    @property
    def executor_megabytes(self) -> int:
        """Memory that each executor may have, with that of its Python workers."""
        return int(self.worker.gigabytes * 1024 * _SHARE_OF_EXECUTOR)


def size_of(settings: Settings) -> Size:
    """Returns the smallest workers that hold an executor of the settings, one for each executor and one for the driver.

    Args:
        settings: Cores and memory of an executor, and their number.

    Raises:
        FruitsError: No worker is as large.
    """
    wanted = megabytes(settings.executor_memory) + megabytes(settings.executor_overhead)
    for kind in DPUS:
        size = Size(kind, settings.max_executors + _DRIVERS)
        if settings.executor_cores <= size.worker.vcpus and wanted <= size.executor_megabytes:
            return size
    raise FruitsError(
        f"FRUITS_EXECUTOR_CORES is {settings.executor_cores}, FRUITS_EXECUTOR_MEMORY and FRUITS_EXECUTOR_OVERHEAD are "
        f"{wanted / 1024:g} GB together, and the largest worker there, {size.kind}, has {size.worker.vcpus} cores and "
        f"{size.executor_megabytes // 1024} GB for them. Lower them."
    )


@dataclass(frozen=True)
class DpuCostModel(CostModel):
    """The cost model of a run, sent with its step as JSON.

    Attributes:
        place: What it runs on, for people.
        kind: Type of the workers.
        workers: The most workers that it can have, the driver's included.
        eur_per_dpu_hour: Price of a DPU for an hour.
        prices: The source of the price, with its date.
    """

    place: str
    kind: str
    workers: int
    eur_per_dpu_hour: float
    prices: str

    @classmethod
    def of_run(cls, settings: Settings, prices: DpuPrices, place: str) -> "DpuCostModel":
        """Returns the model of a run with these settings.

        Args:
            settings: Sizes and number of executors.
            prices: Prices of the region.
            place: What it runs on, for people.
        """
        size = size_of(settings)
        return cls(place, size.kind, size.workers, prices.eur(1), prices.computed_from)

    @property
    def eur_per_hour(self) -> float:
        """Price of all workers for an hour."""
        return Size(self.kind, self.workers).dpus * self.eur_per_dpu_hour

    def of_seconds(self, seconds: float) -> Cost:
        """Returns the most that the workers cost for that time."""
        computed_from = (
            f"{seconds:.1f} s x {self.workers} {self.kind} of {DPUS[self.kind]} DPU at {self.eur_per_hour:.4f} EUR/h "
            f"({self.prices}); {self.place}; {NOT_IN_A_JOB}"
        )
        return Cost(seconds, Euros(emr=self.eur_per_hour * seconds / 3600), computed_from)

    def as_variable(self) -> str:
        """Returns the model as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "DpuCostModel":
        """Returns the model from the document that ``as_variable`` returned as text."""
        return cls(**given)


def worst_case_eur(settings: Settings, prices: DpuPrices) -> float:
    """Returns the most that a run may cost: all workers, until the service ends it.

    Args:
        settings: Sizes, number of executors, and time limit.
        prices: Prices of the region.
    """
    return most_eur(settings.step_minutes, size_of(settings).dpus, prices)


def most_eur(minutes: float, dpus: float, prices: DpuPrices) -> float:
    """Returns the most that so many DPUs cost until a time limit.

    Args:
        minutes: The time limit.
        dpus: DPUs of all workers.
        prices: Prices of the region.
    """
    return prices.eur(dpus * (minutes + MINUTES_BEYOND_TIMEOUT) / 60)


def used_eur(run: Mapping[str, Any], prices: DpuPrices) -> float:
    """Returns what a run that is over has cost: by its DPU-seconds, or else by its time and all its workers.

    Args:
        run: The run as GetJobRun describes it.
        prices: Prices of the region.
    """
    seconds, dpus = float(run.get("ExecutionTime", 0)), float(run.get("MaxCapacity", 0.0))
    if told := run.get("DPUSeconds"):
        return prices.eur(told / 3600)
    # A run that never had its workers costs nothing; any other a minute at least.
    return prices.eur(max(seconds, LEAST_SECONDS) * dpus / 3600) if seconds > 0 else 0.0


def cores_of(settings: Settings) -> int:
    """Returns the cores of all executors that a run may have."""
    return settings.max_executors * size_of(settings).worker.vcpus
