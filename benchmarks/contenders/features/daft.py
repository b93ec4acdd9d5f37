# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = ["ai-edge-litert>=2.3", "daft>=0.7.26", "numpy>=2.2", "pillow>=12"]
# ///
"""Daft: a process for each core, which keeps its network, and reads and decodes the photos itself.

It runs in an environment of its own, locked beside this file: this Daft wants a pyarrow older than the platform's.
"""

import daft
import pyarrow as pa
from daft import DataType, Series

from benchmarks.harness.feature_files import as_lists
from benchmarks.harness.job import read_job
from benchmarks.harness.network import Network, list_photos, photos_at_a_time


def main() -> None:
    """Writes the features."""
    job = read_job()
    paths = list_photos(job.data)
    at_a_time = photos_at_a_time(len(paths), job.cores)

    @daft.cls(max_concurrency=job.cores, use_process=True)
    class Extractor:
        def __init__(self, flatbuffer: str) -> None:
            self.network = Network(flatbuffer)

        @daft.method.batch(return_dtype=DataType.list(DataType.float32()), batch_size=at_a_time)  # type: ignore[untyped-decorator]
        def features(self, paths: Series) -> pa.Array:
            return as_lists(self.network.features(paths.to_pylist()))

    extractor = Extractor(job.flatbuffer)
    photos = daft.from_pydict({"path": paths}).into_batches(at_a_time)
    photos.with_column("features", extractor.features(photos["path"])).write_parquet(f"{job.output}/features")


if __name__ == "__main__":
    main()
