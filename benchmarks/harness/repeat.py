"""The first answer of a process, and the ones after it."""

import statistics
import time
from collections.abc import Callable

from benchmarks.harness.job import Job, tell

_TIMES = 30


def tell_cold_and_warm(
    job: Job, work: Callable[[], object], go_on: Callable[[], Callable[[], object]] | None = None
) -> None:
    """Tells the seconds from the start of the process to the first answer, and the median seconds of 30 more.

    Args:
        job: The job of the process.
        work: Gives an answer.
        go_on: Returns what gives the further ones, by default the same.
    """
    work()
    cold = job.since_start()
    work = go_on() if go_on else work
    seconds = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    tell(cold_seconds=cold, warm_seconds=statistics.median(seconds))
