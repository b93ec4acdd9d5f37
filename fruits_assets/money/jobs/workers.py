"""Jobs that are billed by the vCPU- and gigabyte-hours of their workers: sizes, costs, and the most that one costs."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fruits_assets.money.costs import Cost, CostModel, Euros
from fruits_assets.money.jobs.prices import WorkerPrices
from fruits_assets.settings import Settings
from spark_steps.errors import FruitsError

# Gigabytes that a worker of so many vCPUs can have: least, most, and the increment (EMR Serverless User Guide, "Worker
# configurations", as read in 2026-11).
GIGABYTES = {1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)}
# Of the driver: the plan of a step, and its side of the PCA. Assumed, not measured there.
DRIVER_VCPUS, DRIVER_HEAP_MEGABYTES, DRIVER_GIGABYTES = 2, 3 * 1024, 8
INITIAL_EXECUTORS = 2
# The service takes no shorter limit.
LEAST_TIMEOUT_MINUTES = 5
# A worker is billed from when it is ready until it has ended, and a minute at least.
MINUTES_BEYOND_TIMEOUT = 2
NOT_IN_A_JOB = "an upper bound: as if all executors had run all the time; what was billed is a tag of the run"


@dataclass(frozen=True)
class Worker:
    """The size of a driver or an executor.

    Attributes:
        vcpus: Virtual cores.
        gigabytes: Memory, the overhead included.
    """

    vcpus: int
    gigabytes: int


DRIVER = Worker(DRIVER_VCPUS, DRIVER_GIGABYTES)


def megabytes(size: str) -> int:
    """Returns a size in Spark's form, such as ``4g`` or ``512m``, in megabytes."""
    return int(size[:-1]) * (1024 if size.endswith("g") else 1)


def executor(settings: Settings) -> Worker:
    """Returns the executor of the settings, its memory rounded up to what can be had.

    Raises:
        FruitsError: No executor can have so many cores, or so much memory for them.
    """
    cores = settings.executor_cores
    if cores not in GIGABYTES:
        known = ", ".join(map(str, GIGABYTES))
        raise FruitsError(f"FRUITS_EXECUTOR_CORES is {cores}, and an executor there has one of {known}. Choose one.")
    least, most, increment = GIGABYTES[cores]
    wanted = (megabytes(settings.executor_memory) + megabytes(settings.executor_overhead)) / 1024
    gigabytes = max(least, math.ceil(wanted / increment) * increment)
    if gigabytes > most:
        raise FruitsError(
            f"FRUITS_EXECUTOR_MEMORY and FRUITS_EXECUTOR_OVERHEAD are {wanted:g} GB together, and an executor of "
            f"{cores} cores has {most} GB at most there. Lower them, or raise FRUITS_EXECUTOR_CORES."
        )
    return Worker(cores, gigabytes)


def timeout_minutes(settings: Settings) -> int:
    """Returns after how many minutes the service itself ends a job."""
    return max(LEAST_TIMEOUT_MINUTES, settings.step_minutes)


@dataclass(frozen=True)
class WorkerCostModel(CostModel):
    """The cost model of a job, sent with its step as JSON.

    Attributes:
        place: What it runs on, for people.
        driver: The driver.
        executor: Each executor.
        executors: The most executors that it can have.
        eur_per_vcpu_hour: Price of a vCPU for an hour.
        eur_per_gigabyte_hour: Price of a gigabyte of memory for an hour.
        prices: The source of the prices, with their date.
    """

    place: str
    driver: Worker
    executor: Worker
    executors: int
    eur_per_vcpu_hour: float
    eur_per_gigabyte_hour: float
    prices: str

    @classmethod
    def of_job(cls, settings: Settings, prices: WorkerPrices, place: str) -> "WorkerCostModel":
        """Returns the model of a job with these settings.

        Args:
            settings: Sizes and number of executors.
            prices: Prices of the region.
            place: What it runs on, for people.
        """
        of_one = executor(settings)
        per_vcpu, per_gigabyte = prices.eur(1, 0), prices.eur(0, 1)
        return cls(place, DRIVER, of_one, settings.max_executors, per_vcpu, per_gigabyte, prices.computed_from)

    @property
    def eur_per_hour(self) -> float:
        """Price of the driver and all executors for an hour."""
        vcpus = self.driver.vcpus + self.executors * self.executor.vcpus
        gigabytes = self.driver.gigabytes + self.executors * self.executor.gigabytes
        return vcpus * self.eur_per_vcpu_hour + gigabytes * self.eur_per_gigabyte_hour

    def of_seconds(self, seconds: float) -> Cost:
        """Returns the most that the workers cost for that time."""
        computed_from = (
            f"{seconds:.1f} s x (driver of {self.driver.vcpus} vCPU and {self.driver.gigabytes} GB + {self.executors} "
            f"executors of {self.executor.vcpus} vCPU and {self.executor.gigabytes} GB) at {self.eur_per_hour:.4f} "
            f"EUR/h ({self.prices}); {self.place}; {NOT_IN_A_JOB}"
        )
        return Cost(seconds, Euros(emr=self.eur_per_hour * seconds / 3600), computed_from)

    def as_variable(self) -> str:
        """Returns the model as JSON."""
        workers = {
            name: [worker.vcpus, worker.gigabytes]
            for name, worker in (("driver", self.driver), ("executor", self.executor))
        }
        return json.dumps(
            {
                "place": self.place,
                "workers": workers,
                "executors": self.executors,
                "eur_per_vcpu_hour": self.eur_per_vcpu_hour,
                "eur_per_gigabyte_hour": self.eur_per_gigabyte_hour,
                "prices": self.prices,
            }
        )

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "WorkerCostModel":
        """Returns the model from the document that ``as_variable`` returned as text."""
        workers = {name: Worker(*size) for name, size in given["workers"].items()}
        values: dict[str, Any] = {name: value for name, value in given.items() if name != "workers"}
        return cls(**{**values, **workers})


def worst_case_eur(settings: Settings, prices: WorkerPrices) -> float:
    """Returns the most that a job may cost: the driver and all executors, until the service ends it.

    Args:
        settings: Sizes, number of executors, and time limit.
        prices: Prices of the region.
    """
    hours = (timeout_minutes(settings) + MINUTES_BEYOND_TIMEOUT) / 60
    return WorkerCostModel.of_job(settings, prices, "").eur_per_hour * hours
