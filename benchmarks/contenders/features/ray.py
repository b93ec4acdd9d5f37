"""Ray Data: an actor for each core, which keeps its network, and reads and decodes the photos itself.

The paths alone go through Ray's object store, and one logical CPU more than there are cores lets its writer run beside
the actors.
"""

from typing import Any

import pyarrow as pa
import ray

from benchmarks.harness.feature_files import as_lists
from benchmarks.harness.job import read_job
from benchmarks.harness.network import PHOTOS_AT_A_TIME, Network, list_photos


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
    photos = ray.data.from_arrow(pa.table({"path": list_photos(job.data)})).repartition(4 * job.cores)
    features = photos.map_batches(
        Extractor,
        fn_constructor_args=(job.flatbuffer,),
        batch_size=PHOTOS_AT_A_TIME,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=job.cores),
        num_cpus=1,
    )
    features.write_parquet(f"{job.output}/features")
    ray.shutdown()


if __name__ == "__main__":
    main()
