"""The limit of the network's runtime: LiteRT alone, a process of one thread on each core, on pixels that lie ready."""

import time
from multiprocessing import Barrier, Pool
from typing import Any

import numpy as np

from benchmarks.harness.job import read_job, tell
from benchmarks.harness.network import Network

_barrier: Any = None


def meet(barrier: Any) -> None:
    """Gives a process of the pool the barrier at which all begin."""
    global _barrier
    _barrier = barrier


def rate(task: tuple[str, float]) -> float:
    """Returns images per second in this process."""
    flatbuffer, seconds = task
    network = Network(flatbuffer)
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    network.run(pixels)
    _barrier.wait()
    start, images = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        network.run(pixels)
        images += 1
    return images / (time.perf_counter() - start)


def main() -> None:
    """Tells the rate of all processes together."""
    job = read_job()
    with Pool(job.cores, initializer=meet, initargs=(Barrier(job.cores),)) as pool:
        rates = pool.map(rate, [(job.flatbuffer, job.seconds)] * job.cores, chunksize=1)
    tell(images_per_second=sum(rates))


if __name__ == "__main__":
    main()
