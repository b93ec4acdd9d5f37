"""Hugging Face datasets: ``map`` in as many processes as cores."""

import pyarrow as pa
from datasets import Dataset, disable_progress_bars

from benchmarks.harness.feature_files import as_lists
from benchmarks.harness.job import read_job
from benchmarks.harness.network import list_photos, network_of_process, photos_at_a_time


def features_of(batch: pa.Table, flatbuffer: str) -> pa.Table:
    """Adds the features."""
    features = network_of_process(flatbuffer).features(batch["path"].to_pylist())
    return pa.table({"path": batch["path"], "features": as_lists(features)})


def main() -> None:
    """Writes the features."""
    job = read_job()
    paths = list_photos(job.data)
    disable_progress_bars()
    photos = Dataset.from_dict({"path": paths}).with_format("arrow")
    features = photos.map(
        features_of,
        batched=True,
        batch_size=photos_at_a_time(len(paths), job.cores),
        num_proc=job.cores,
        fn_kwargs={"flatbuffer": job.flatbuffer},
        cache_file_name=f"{job.output}/cache.arrow",
    )
    features.to_parquet(f"{job.output}/features.parquet")


if __name__ == "__main__":
    main()
