"""Peak memory of a contender's processes."""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.processes import Watch, is_java, is_spark_worker, processes_with

# Reading the maps of many processes takes time that the contender could use; so much at most.
_SHARE_OF_TIME = 0.02


def proportional_bytes(process: int) -> int:
    """Returns the proportional set size (PSS) of a process: pages shared by n processes count as one n-th."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def peak_resident_bytes() -> int:
    """Returns the greatest resident set of this process; 0 where there is no ``/proc``.

    What ``getrusage`` tells of it begins with that of the process that has started this one.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass
class MemoryWatch(Watch):
    """Samples the memory of marked processes until it is stopped.

    Attributes:
        mark: The processes' mark.
        peak: Most bytes at once, of all; 0 where there is no ``/proc``.
        workers_peak: Most bytes at once, of Spark's Python workers.
        java: Whether one of them was Java.
    """

    mark: str
    peak: int = 0
    workers_peak: int = 0
    java: bool = False

    def _sample(self) -> None:
        start = time.perf_counter()
        sizes = {process: proportional_bytes(process) for process in processes_with(self.mark)}
        self.peak = max(self.peak, sum(sizes.values()))
        self.java = self.java or any(map(is_java, sizes))
        workers = sum(size for process, size in sizes.items() if is_spark_worker(process))
        self.workers_peak = max(self.workers_peak, workers)
        self._pause = max(0.2, (time.perf_counter() - start) / _SHARE_OF_TIME)
