"""The plain pool of processes, which decodes every pixel of a phone's photo before it shrinks it."""

from benchmarks.contenders.features.pool import run
from benchmarks.harness.job import read_job
from benchmarks.harness.network import full_pixels

if __name__ == "__main__":
    run(read_job(), full_pixels)
