"""The limit of the hardware: single precision matrix products, a process of one thread on each core.

MobileNetV2 1.0/224 takes 300 million multiply-adds a photo (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and
Linear Bottlenecks", table 4), two operations each. No network of that size can be faster than this bound at the same
precision; its depthwise layers keep it from reaching it.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from multiprocessing import Barrier, Pool  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402

from benchmarks.harness.job import read_job, tell  # noqa: E402

OPERATIONS_PER_PHOTO = 2 * 300e6
_SIDE = 1024
_barrier: Any = None


def meet(barrier: Any) -> None:
    """Gives a process of the pool the barrier at which all begin."""
    global _barrier
    _barrier = barrier


def rate(seconds: float) -> float:
    """Returns operations per second in this process."""
    one = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    product = one @ one
    _barrier.wait()
    start, products = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        np.matmul(one, one, out=product)
        products += 1
    return products * 2 * _SIDE**3 / (time.perf_counter() - start)


def main() -> None:
    """Tells the rate of all processes together."""
    job = read_job()
    with Pool(job.cores, initializer=meet, initargs=(Barrier(job.cores),)) as pool:
        operations = sum(pool.map(rate, [job.seconds] * job.cores, chunksize=1))
    tell(images_per_second=operations / OPERATIONS_PER_PHOTO, gigaflops=operations / 1e9)


if __name__ == "__main__":
    main()
