"""One photo to its features with LiteRT alone."""

from benchmarks.harness.job import read_job
from benchmarks.harness.network import Network
from benchmarks.harness.repeat import tell_cold_and_warm


def main() -> None:
    """Tells the time to the first features, and the time of the next."""
    job = read_job()
    network = Network(job.flatbuffer)
    tell_cold_and_warm(job, lambda: network.features([job.data]))


if __name__ == "__main__":
    main()
