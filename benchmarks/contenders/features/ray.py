"""Ray Data: an actor for each core, which keeps its network, and reads and decodes the photos itself.

The paths alone go through Ray's object store, and one logical CPU more than there are cores lets its writer run beside
the actors.
"""

from typing import Any

import pyarrow as pa
import ray

from benchmarks.harness.feature_files import as_lists
from benchmarks.harness.job import read_job
from benchmarks.harness.network import Network, list_photos, photos_at_a_time

_BATCHES_OF_BLOCK = 4


class Extractor:
    """An actor's network."""

    def __init__(self, flatbuffer: str) -> None:
        self._network = Network(flatbuffer)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Adds the features."""
        paths: Any = batch["path"].to_pylist()
        return pa.table({"path": batch["path"], "features": as_lists(self._network.features(paths))})


def main() -> None:
    """Writes the features."""
    job = read_job()
    ray.init(num_cpus=job.cores + 1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    paths = list_photos(job.data)
    at_a_time = photos_at_a_time(len(paths), job.cores)
    # A block is a task of an actor, and its rows are a file: some batches each, so that the actors end together.
    blocks = max(1, len(paths) // (at_a_time * _BATCHES_OF_BLOCK))
    photos = ray.data.from_arrow(pa.table({"path": paths}), override_num_blocks=blocks)
    features = photos.map_batches(
        Extractor,
        fn_constructor_args=(job.flatbuffer,),
        batch_size=at_a_time,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=job.cores),
        num_cpus=1,
    )
    features.write_parquet(f"{job.output}/features")
    ray.shutdown()


if __name__ == "__main__":
    main()
