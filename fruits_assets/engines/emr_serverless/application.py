"""What the stack's application must be like, so that it costs nothing while no job runs, and has room for a job."""

import re
from collections.abc import Mapping
from typing import Any

from fruits_assets.money.jobs import workers
from fruits_assets.settings import Settings

MOST_IDLE_MINUTES = 60


def number_of(amount: str) -> float:
    """Returns the number of an amount such as ``20 vCPU`` or ``80GB``; 0 where there is none."""
    found = re.match(r"\s*([\d.]+)", amount)
    return float(found[1]) if found else 0.0


def problems(application: Mapping[str, Any], settings: Settings) -> list[str]:
    """Returns what is wrong with an application, a phrase each.

    Args:
        application: As GetApplication describes it.
        settings: The sizes of a job.
    """
    wrong: list[str] = []
    if application.get("initialCapacity"):
        wrong.append("it has an initial capacity, which costs while no job runs")
    stop = application.get("autoStopConfiguration") or {}
    if not stop.get("enabled", True) or stop.get("idleTimeoutMinutes", 15) > MOST_IDLE_MINUTES:
        wrong.append(f"it does not stop by itself after {MOST_IDLE_MINUTES} idle minutes at most")
    most = application.get("maximumCapacity")
    if not most:
        return [*wrong, "it has no maximum capacity, so a job that lost its bounds could grow without end"]
    executor = workers.executor(settings)
    least = {
        "cpu": workers.DRIVER.vcpus + executor.vcpus,
        "memory": workers.DRIVER.gigabytes + executor.gigabytes,
    }
    for name, needed in least.items():
        if number_of(str(most.get(name, ""))) < needed:
            wrong.append(f"its maximum {name} is {most.get(name)}, and a driver with one executor needs {needed}")
    return wrong
