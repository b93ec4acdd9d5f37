"""Peak memory of a contender's processes."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "FRUITS_BENCHMARK"
# Reading the maps of many processes takes time that the contender could use; so much at most.
_SHARE_OF_TIME = 0.02


def processes_with(mark: str) -> Iterator[int]:
    """Yields the ids of the processes whose environment has ``FRUITS_BENCHMARK=<mark>``.

    Unlike the tree of parents and children, it reaches daemons too.
    """
    wanted = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def proportional_bytes(process: int) -> int:
    """Returns the proportional set size (PSS) of a process: pages shared by n processes count as one n-th."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def is_spark_worker(process: int) -> bool:
    """Returns whether a process is one of Spark's Python workers, or the daemon that they are forked from."""
    with suppress(OSError):
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        # Not the name alone: the command of Spark's Java has it among its settings.
        return any(b"-m\0" + name in command for name in (b"pyspark.daemon", b"spark_steps.python_daemon"))
    return False


@dataclass
class MemoryWatch:
    """Samples the memory of marked processes until it is stopped.

    Attributes:
        mark: The processes' mark.
        peak: Most bytes at once, of all; 0 where there is no ``/proc``.
        workers_peak: Most bytes at once, of Spark's Python workers.
    """

    mark: str
    peak: int = 0
    workers_peak: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "MemoryWatch":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = 0.2
        while not self._stop.wait(pause):
            start = time.perf_counter()
            sizes = {process: proportional_bytes(process) for process in processes_with(self.mark)}
            self.peak = max(self.peak, sum(sizes.values()))
            workers = sum(size for process, size in sizes.items() if is_spark_worker(process))
            self.workers_peak = max(self.workers_peak, workers)
            pause = max(0.2, (time.perf_counter() - start) / _SHARE_OF_TIME)
