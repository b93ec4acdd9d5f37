"""One photo to its features with Keras."""

from pathlib import Path

from benchmarks.harness.job import read_job
from benchmarks.harness.network import full_pixels
from benchmarks.harness.repeat import tell_cold_and_warm
from spark_steps.features.keras_model import build_model


def main() -> None:
    """Tells the time to the first features, and the time of the next."""
    job = read_job()
    model = build_model(job.weights, job.weights)

    def features() -> object:
        return model.predict(full_pixels(Path(job.data).read_bytes()), verbose=0)

    tell_cold_and_warm(job, features)


if __name__ == "__main__":
    main()
